"""Draw the architecture of the orders workshop.

Writes nine PNG files, next to this script unless --output says otherwise:

* architecture-diagram.png shows every resource, numbered with the workshop
  step that creates it;
* step-01.png to step-08.png show the same picture with the resources of one
  step lit and everything else faded.

Requires Graphviz (its neato program) and two Python packages:

    pip install diagrams pillow
    python docs/images/architecture_diagram.py
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from diagrams import Diagram, Edge, Node
from diagrams.aws.compute import Lambda
from diagrams.aws.database import Dynamodb, DynamodbStreams
from diagrams.aws.engagement import SimpleEmailServiceSesEmail
from diagrams.aws.general import Client
from diagrams.aws.integration import SNS, SQS, SimpleQueueServiceSqsQueue
from diagrams.aws.management import CloudwatchLogs
from diagrams.aws.network import APIGateway
from diagrams.aws.security import IAMRole
from PIL import Image, ImageOps

Point = tuple[float, float]

STEPS = (
    "IAM roles",
    "DynamoDB table",
    "SQS queues",
    "POC-Lambda-1",
    "DynamoDB Streams",
    "SNS topic",
    "POC-Lambda-2",
    "API Gateway",
)

# Lengths are in inches, with the origin at the bottom left; 12 in make 1800 px.
DPI = 150
POINTS_PER_INCH = 72
CANVAS_WIDTH, CANVAS_HEIGHT = 12.0, 5.6
FIRST_COLUMN, COLUMN_WIDTH = 0.72, 1.32
LEGEND_WIDTH, LEGEND_HEIGHT = 1.3, 0.32
LEGEND_ROW, SUPPORT_ROW, FLOW_ROW, ROLE_ROW = 0.27, 1.6, 3.2, 4.62
ICON_SIZE, FRAME_SIZE, BADGE_SIZE = 0.6, 0.74, 0.22
BADGE_OFFSET = FRAME_SIZE / 2 - 0.02
CAPTION_OFFSET = (FRAME_SIZE + BADGE_SIZE) / 2 - 0.02
LINE_HEIGHT = 0.175
LINE_WIDTH = 1.5 / POINTS_PER_INCH

FONT = "Arial"
FONT_SIZE, SMALL_FONT_SIZE = "9.12", "8.64"  # 19 px and 18 px
INK, MUTED, ACCENT = "#232F3E", "#5A6B7B", "#E8590C"

FADE = 0.64  # share of white mixed into the faded parts of a step picture
COLOURS = 256  # palette size of the PNG files


@dataclass(frozen=True)
class Theme:
    """The colours of a picture, and the line width of its boxes in points."""

    line: str
    badge: str
    outline: str
    fill: str
    outline_width: str


PLAIN = Theme(line=MUTED, badge=INK, outline="#D5DBE1", fill="white", outline_width="1")
LIT = Theme(line=ACCENT, badge=ACCENT, outline=ACCENT, fill="#FFF0E0", outline_width="3")


@dataclass(frozen=True)
class Piece:
    """A resource of the architecture, placed on the grid.

    Attributes:
        icon: the diagrams class that provides the icon.
        kind: what the resource is, in bold.
        name: what the resource is called, possibly on several lines.
        column: grid column, counted from 0 at the left.
        row: height of the icon's centre.
        step: workshop step that creates the resource.
        numbered: whether the icon carries the number of its step.
    """

    icon: type[Node]
    kind: str
    name: str
    column: float
    row: float
    step: int
    numbered: bool = True


@dataclass(frozen=True)
class Waypoint:
    """A point where a line forks or turns.

    Attributes:
        column: grid column, possibly between two columns.
        row: height of the point.
        step: workshop step that makes the connection.
    """

    column: float
    row: float
    step: int


@dataclass(frozen=True)
class Label(Waypoint):
    """A short text centred on a point beside an arrow.

    Attributes:
        text: what to write, possibly on several lines.
    """

    text: str


@dataclass(frozen=True)
class Link:
    """A line between two nodes, with an arrowhead unless it ends at a waypoint.

    Attributes:
        tail: node the line leaves.
        head: node the line reaches.
        step: workshop step that makes the connection.
        style: Graphviz line style.
    """

    tail: str
    head: str
    step: int
    style: str = "solid"


PIECES = {
    "api-role": Piece(IAMRole, "IAM role", "APIGateway-SQS", 1, ROLE_ROW, 1),
    "writer-role": Piece(IAMRole, "IAM role", "Lambda-SQS-DynamoDB", 3, ROLE_ROW, 1),
    "notifier-role": Piece(IAMRole, "IAM role", "Lambda-DynamoDB-SNS", 6, ROLE_ROW, 1),
    "client": Piece(Client, "Client", "places an order", 0, FLOW_ROW, 8, numbered=False),
    "api": Piece(APIGateway, "API Gateway", "orders API", 1, FLOW_ROW, 8),
    "queue": Piece(SQS, "SQS queue", "ecommerce-orders-queue", 2, FLOW_ROW, 3),
    "writer": Piece(Lambda, "Lambda", "POC-Lambda-1", 3, FLOW_ROW, 4),
    "table": Piece(Dynamodb, "DynamoDB table", "ecommerce-orders", 4, FLOW_ROW, 2),
    "stream": Piece(DynamodbStreams, "DynamoDB", "Streams", 5, FLOW_ROW, 5),
    "notifier": Piece(Lambda, "Lambda", "POC-Lambda-2", 6, FLOW_ROW, 7),
    "topic": Piece(SNS, "SNS topic", "ecommerce-orders-topic", 7, FLOW_ROW, 6),
    "email": Piece(SimpleEmailServiceSesEmail, "E-mail", "subscription", 8, FLOW_ROW, 6),
    "queue-dlq": Piece(
        SimpleQueueServiceSqsQueue,
        "Dead-letter queue",
        "ecommerce-orders-dlq",
        2,
        SUPPORT_ROW,
        3,
    ),
    "writer-logs": Piece(
        CloudwatchLogs,
        "CloudWatch logs",
        "/aws/lambda/\nPOC-Lambda-1",
        3,
        SUPPORT_ROW,
        4,
    ),
    "stream-dlq": Piece(
        SimpleQueueServiceSqsQueue,
        "Failure queue",
        "ecommerce-orders-\nstream-dlq",
        5,
        SUPPORT_ROW,
        7,
    ),
    "notifier-logs": Piece(
        CloudwatchLogs,
        "CloudWatch logs",
        "/aws/lambda/\nPOC-Lambda-2",
        6,
        SUPPORT_ROW,
        7,
    ),
}

# The line from the trigger of POC-Lambda-2 to its failure queue.
WAYPOINTS = {
    "trigger": Waypoint(5.5, FLOW_ROW, 7),
    "corner": Waypoint(5.5, SUPPORT_ROW, 7),
}

LINKS = (
    Link("api-role", "api", 1, style="dashed"),
    Link("writer-role", "writer", 1, style="dashed"),
    Link("notifier-role", "notifier", 1, style="dashed"),
    Link("client", "api", 8),
    Link("api", "queue", 8),
    Link("queue", "writer", 4),
    Link("writer", "table", 4),
    Link("table", "stream", 5),
    Link("stream", "notifier", 7),
    Link("notifier", "topic", 7),
    Link("topic", "email", 6),
    Link("queue-caption", "queue-dlq", 3),
    Link("writer-caption", "writer-logs", 4),
    Link("notifier-caption", "notifier-logs", 7),
    Link("trigger", "corner", 7),
    Link("corner", "stream-dlq", 7),
)

ABOVE_FLOW = FLOW_ROW + 0.1
BELOW_FLOW = (FLOW_ROW + SUPPORT_ROW) / 2 - 0.17
BELOW_ROLES = (FLOW_ROW + ROLE_ROW) / 2

LABELS = (
    Label(1.31, BELOW_ROLES, 1, "assumed by"),
    Label(3.31, BELOW_ROLES, 1, "assumed by"),
    Label(6.31, BELOW_ROLES, 1, "assumed by"),
    Label(0.47, ABOVE_FLOW + LINE_HEIGHT / 2, 8, "POST\n/orders"),
    Label(1.48, ABOVE_FLOW, 8, "send"),
    Label(2.48, ABOVE_FLOW, 4, "receive"),
    Label(3.48, ABOVE_FLOW, 4, "put item"),
    Label(4.48, ABOVE_FLOW, 5, "changes"),
    Label(5.48, ABOVE_FLOW, 7, "read"),
    Label(6.48, ABOVE_FLOW, 7, "publish"),
    Label(7.48, ABOVE_FLOW, 6, "notify"),
    Label(1.71, BELOW_FLOW, 3, "on failure"),
    Label(5.21, BELOW_FLOW, 7, "on failure"),
)


class Painter:
    """Adds the architecture to the current diagram, hiding what is not lit.

    Hidden nodes still take their place, so every picture has the same layout.
    """

    def __init__(self, lit_step: int | None) -> None:
        """Light one step, or show everything plainly if lit_step is None."""
        self.lit_step = lit_step
        self.nodes: dict[str, Node] = {}
        self.theme = PLAIN if lit_step is None else LIT

    def paint(self) -> None:
        """Draw the resources, the lines and the legend."""
        self._node((CANVAS_WIDTH / 2, CANVAS_HEIGHT / 2), size=(CANVAS_WIDTH, CANVAS_HEIGHT))
        for key, piece in PIECES.items():
            self._piece(key, piece)
        for key, waypoint in WAYPOINTS.items():
            self._disc(position(waypoint), waypoint.step, LINE_WIDTH, self.theme.line, key=key)
        for link in LINKS:
            self._link(link)
        for label in LABELS:
            self._node(position(label), label.step, label.text, fontcolor=MUTED, fontsize=SMALL_FONT_SIZE)
        for step, title in enumerate(STEPS, start=1):
            self._legend(step, title)

    def _piece(self, key: str, piece: Piece) -> None:
        """Draw a resource: frame, icon, number and caption."""
        x, y = position(piece)
        self._panel((x, y), piece.step, (FRAME_SIZE, FRAME_SIZE), key=key)
        self._node((x, y), piece.step, icon=piece.icon, size=(ICON_SIZE, ICON_SIZE))
        if piece.numbered:
            self._badge((x - BADGE_OFFSET, y + BADGE_OFFSET), piece.step)
        lines = [f"<b>{piece.kind}</b>", *piece.name.split("\n")]
        rows = "".join(f"<tr><td>{line}</td></tr>" for line in lines)
        table = f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{rows}</table>>'
        offset = CAPTION_OFFSET + len(lines) * LINE_HEIGHT / 2
        caption_y = y + offset if piece.row == ROLE_ROW else y - offset
        self._node((x, caption_y), piece.step, table, key=f"{key}-caption")

    def _link(self, link: Link) -> None:
        """Draw a line; lines meet in the middle of a waypoint."""
        edge = Edge(
            forward=True,
            color=self.theme.line,
            penwidth=str(LINE_WIDTH * POINTS_PER_INCH),
            arrowsize="0.7",
            arrowhead="none" if link.head in WAYPOINTS else "normal",
            headclip="false" if link.head in WAYPOINTS else "true",
            tailclip="false" if link.tail in WAYPOINTS else "true",
            style=self._style(link.step, link.style),
        )
        self.nodes[link.tail].connect(self.nodes[link.head], edge)

    def _legend(self, step: int, title: str) -> None:
        """Draw one entry of the list of steps at the bottom."""
        x = (step - 0.5) * CANVAS_WIDTH / len(STEPS) + BADGE_SIZE / 4
        self._panel((x, LEGEND_ROW), step, (LEGEND_WIDTH, LEGEND_HEIGHT))
        self._badge((x - LEGEND_WIDTH / 2, LEGEND_ROW), step)
        self._node((x + BADGE_SIZE / 4, LEGEND_ROW), step, title, fontsize=SMALL_FONT_SIZE)

    def _panel(self, point: Point, step: int, size: Point, key: str | None = None) -> None:
        """Draw a rounded box."""
        self._node(
            point,
            step,
            key=key,
            size=size,
            style="rounded,filled",
            shape="box",
            color=self.theme.outline,
            fillcolor=self.theme.fill,
            penwidth=self.theme.outline_width,
        )

    def _badge(self, point: Point, step: int) -> None:
        """Draw the number of a step in a disc."""
        self._disc(point, step, BADGE_SIZE, self.theme.badge, label=str(step))

    def _disc(
        self,
        point: Point,
        step: int,
        diameter: float,
        colour: str,
        label: str = "",
        key: str | None = None,
    ) -> None:
        """Draw a disc, with a white label in bold."""
        self._node(
            point,
            step,
            label,
            key=key,
            size=(diameter, diameter),
            style="filled",
            shape="circle",
            penwidth="0",
            fillcolor=colour,
            fontcolor="white",
            fontname=f"{FONT} Bold",
        )

    def _node(
        self,
        point: Point,
        step: int | None = None,
        label: str = "",
        *,
        key: str | None = None,
        icon: type[Node] = Node,
        size: Point | None = None,
        style: str = "",
        **attributes: str,
    ) -> None:
        """Draw a node at a fixed position, and remember it if it has a key.

        Without a size, the node is as large as its label.
        """
        if size is not None:
            width, height = size
            attributes |= {"fixedsize": "true", "width": str(width), "height": str(height)}
        x, y = point
        pin = f"{x:.3f},{y:.3f}!"
        node = icon(label, nodeid=key, pos=pin, style=self._style(step, style), **attributes)
        if key is not None:
            self.nodes[key] = node

    def _style(self, step: int | None, style: str) -> str:
        """Return the style to use for a step, which hides all steps but the lit one."""
        return style if self.lit_step in (None, step) else "invis"


def position(item: Piece | Waypoint) -> Point:
    """Return the coordinates of the middle of an item of the grid."""
    return FIRST_COLUMN + item.column * COLUMN_WIDTH, item.row


def render(directory: Path, lit_step: int | None = None) -> Image.Image:
    """Draw the diagram with Graphviz.

    Args:
        directory: existing directory for the intermediate files.
        lit_step: the only step to show, on a transparent background; by
            default all the steps are shown, on white.
    """
    base = directory / f"layer-{lit_step or 'all'}"
    diagram = Diagram(
        filename=str(base),
        show=False,
        graph_attr={
            "bgcolor": "white" if lit_step is None else "transparent",
            "dpi": str(DPI),
            "outputorder": "nodesfirst",
            "pad": "0",
            "splines": "line",
        },
        node_attr={
            "shape": "plaintext",
            "fixedsize": "false",
            "width": "0",
            "height": "0",
            "margin": "0",
            "labelloc": "c",
            "fontname": FONT,
            "fontsize": FONT_SIZE,
            "fontcolor": INK,
        },
    )
    diagram.dot.engine = "neato"  # the layout engine that honours pinned positions
    with diagram:
        Painter(lit_step).paint()
    with Image.open(base.with_suffix(".png")) as image:
        return image.convert("RGBA")


def fade(image: Image.Image) -> Image.Image:
    """Return a pale grey copy of a picture."""
    grey = ImageOps.grayscale(image).convert("RGBA")
    return Image.blend(grey, Image.new("RGBA", image.size, "white"), FADE)


def save(image: Image.Image, path: Path) -> None:
    """Write a picture as a small palette PNG."""
    image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="directory for the PNG files (default: the directory of this script)",
    )
    return parser.parse_args()


def main() -> None:
    """Write the complete diagram and one picture per step."""
    output: Path = parse_arguments().output
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        complete = render(directory)
        save(complete, output / "architecture-diagram.png")
        background = fade(complete)
        for step in range(1, len(STEPS) + 1):
            lit = render(directory, step)
            save(Image.alpha_composite(background, lit), output / f"step-{step:02}.png")


if __name__ == "__main__":
    main()
