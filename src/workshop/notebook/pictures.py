"""What a notebook draws: an order's way, and a spike."""

import io
from datetime import datetime
from typing import Any

from workshop.notebook.page import COLOURS, jupyter
from workshop.orders.plot import spike_axes

#: The colour of each hop in the picture of an order's way: that of its AWS service.
HOP_COLOURS = {
    "api": "#8c4fff",
    "queue": "#e7157b",
    "lambda-1": "#ed7100",
    "table": "#3b48cc",
    "stream": "#6b76dd",
    "lambda-2": "#ed7100",
    "topic": "#e7157b",
    "inbox": "#5a6b86",
}


def draw_way(hops: list[dict[str, Any]]) -> None:
    """Draw the way of an order: its stations, and below them the time that each took, true to scale.

    Args:
        hops: as `workshop trace` returns them: `[{"hop", "at", "detail"}]`.
    """
    from matplotlib.figure import Figure

    known = [(hop["hop"], datetime.fromisoformat(hop["at"]).timestamp() * 1000) for hop in hops if hop["at"]]
    if not known:
        return
    start, names = known[0][1], [name for name, _ in known]
    times = [at - start for _, at in known]
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[2, 1])
    above.set_xlim(-0.6, len(names) - 0.4)
    above.set_ylim(-0.75, 0.75)
    above.axis("off")
    for place, (name, at) in enumerate(zip(names, times, strict=True)):
        colour = HOP_COLOURS.get(name, COLOURS["dim"])
        above.plot(place, 0, "o", markersize=27, color=colour)
        above.text(place, 0, str(place + 1), ha="center", va="center", color="white", fontweight="bold")
        above.text(place, -0.42, name, ha="center", va="top", fontweight="bold")
        if place:
            took = at - times[place - 1]
            above.annotate(
                "", (place - 0.24, 0), (place - 0.76, 0), arrowprops={"arrowstyle": "-|>", "color": "#7f8792"}
            )
            above.text(place - 0.5, 0.16, f"{took:,.0f} ms", ha="center", fontsize=10)
            below.barh(0, took, left=times[place - 1], color=colour, edgecolor="white", height=0.7)
            if took > 0.04 * times[-1]:
                middle = times[place - 1] + took / 2
                below.text(middle, 0, str(place + 1), ha="center", va="center", color="white", fontweight="bold")
    below.set_yticks([])
    below.set_xlim(0, max(times[-1], 1))
    below.set_xlabel("milliseconds since the API took the order")
    below.spines[["top", "right", "left"]].set_visible(False)
    picture(figure)


def draw_spike(samples: list[dict[str, Any]]) -> None:
    """Draw the curves of a spike: orders accepted, stored and told of, and how many waited in the queue."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    # Nobody looked at the very beginning, when there was nothing.
    spike_axes(figure, [dict.fromkeys(samples[0], 0), *samples])
    picture(figure)


def picture(figure: Any) -> None:
    """Show a matplotlib figure, sharp on every screen."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=160, facecolor="white")
    jupyter.display(
        jupyter.Image(data.getvalue(), width=round(figure.get_figwidth() * 80), alt="A plot of the numbers above")
    )
