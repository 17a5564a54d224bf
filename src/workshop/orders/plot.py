"""Draw the chart of a spike, if matplotlib is installed."""

from pathlib import Path
from typing import Any


def draw_spike(run: dict[str, Any], path: Path) -> Path | None:
    """Draw the orders accepted, stored and notified, and the queue's depth.

    Args:
        run: what `workshop spike` saved.
        path: the file to write. Its suffix sets the format.

    Returns:
        The path, or None if matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    spike_axes(figure, run["samples"])
    figure.savefig(path, dpi=120)
    return path


def spike_axes(figure: Any, samples: list[dict[str, Any]]) -> None:
    """Draw the two charts of a spike on a matplotlib figure."""
    times = [sample["at"] for sample in samples]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for key, colour in (("accepted", "#5a6b86"), ("stored", "#3b48cc"), ("notified", "#d6246e")):
        above.plot(times, [sample[key] for sample in samples], label=key, color=colour, linewidth=2)
    above.set_ylabel("orders")
    above.legend(loc="lower right", frameon=False)
    depth = [sample["waiting"] + sample["inFlight"] for sample in samples]
    below.fill_between(times, depth, color="#e7157b", alpha=0.25)
    below.plot(times, depth, color="#e7157b", linewidth=2)
    below.set_ylabel("in the queue")
    below.set_xlabel("seconds since the first order")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
