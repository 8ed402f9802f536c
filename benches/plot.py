#!/usr/bin/env python3
"""Draws the raw data of `cargo bench -p connlimit-benches --bench matrix` as bars: time per operation as a multiple of dashmap's.

    benches/plot.py benches/results/matrix-NAME.csv            writes benches/results/matrix-NAME.svg

The bars are medians of the rounds and the whiskers their range, both divided by the median of the reference in the
same row; the scale is logarithmic, so that twice as fast and twice as slow look alike. Needs nothing but Python 3.9.
"""

import argparse
import csv
import math
from collections import defaultdict
from html import escape
from pathlib import Path
from statistics import median_high as median

COLOURS = {
    "connlimit": "#d1495b",
    "connlimit-batch": "#edae49",
    "dashmap": "#30638e",
    "dashmap-u32": "#5fa8d3",
    "scc": "#66a182",
    "papaya": "#8d6a9f",
    "sharded-64": "#a5a58d",
    "parking-lot": "#8a8a8a",
    "std-mutex": "#5c5c5c",
    "pingora": "#c9ada7",
    "floor": "#d9d9d9",
}
OTHER = "#000000"

BAR, GAP, ROW_GAP = 9, 1, 16
LEFT, RIGHT, TOP, BOTTOM, PLOT = 150, 70, 84, 46, 620


def read(path):
    """The heading of the file, and {(workload, threads): {peer: [ns, one for each round]}}, in the file's order."""
    heading, lines = {}, []
    with open(path, encoding="utf-8", newline="") as file:
        for line in file:
            if line.startswith("#"):
                name, _, text = line[1:].strip().partition(": ")
                heading[name] = text
            else:
                lines.append(line)
    rows = defaultdict(lambda: defaultdict(list))
    for cell in csv.DictReader(lines):
        rows[cell["workload"], int(cell["threads"])][cell["peer"]].append(float(cell["ns_per_op"]))
    return heading, rows


def ratios(rows, reference, peers):
    """[(label, reference's ns, [(peer, ratio, lowest, highest)])] for the rows that have the reference."""
    for (workload, threads), times in rows.items():
        if reference not in times:
            continue
        unit = median(times[reference])
        bars = [
            (peer, median(times[peer]) / unit, min(times[peer]) / unit, max(times[peer]) / unit)
            for peer in peers
            if peer in times
        ]
        yield f"{workload}, {threads} thread{'s' if threads > 1 else ''}", unit, bars


def draw(heading, groups, reference, peers):
    low = min(bar[2] for _, _, bars in groups for bar in bars)
    high = max(bar[3] for _, _, bars in groups for bar in bars)
    first = min(-1, math.floor(math.log2(max(low, 1 / 32))))
    last = max(1, math.ceil(math.log2(min(high, 32))))

    def x(ratio):
        position = (math.log2(ratio) - first) / (last - first)
        return LEFT + PLOT * min(max(position, 0), 1)

    height = TOP + BOTTOM + sum(len(bars) * (BAR + GAP) + ROW_GAP for *_, bars in groups)
    width = LEFT + PLOT + RIGHT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15">Time per operation, {escape(reference)} = 1 '
        "(left of it is faster, right of it slower)</text>",
    ]
    for number, peer in enumerate(peers):
        column, line = number % 6, number // 6
        left, top = LEFT + column * 118, 32 + line * 16
        out.append(f'<rect x="{left}" y="{top}" width="10" height="10" fill="{COLOURS.get(peer, OTHER)}"/>')
        out.append(f'<text x="{left + 14}" y="{top + 9}">{escape(peer)}</text>')
    for power in range(first, last + 1):
        at = x(2.0**power)
        label = f"{2**power}×" if power >= 0 else f"1/{2**-power}"
        stroke = "#333333" if power == 0 else "#dddddd"
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{height - BOTTOM}" stroke="{stroke}"/>')
        out.append(f'<text x="{at:.1f}" y="{TOP - 9}" text-anchor="middle">{label}</text>')

    y = TOP + ROW_GAP / 2
    for label, unit, bars in groups:
        middle = y + len(bars) * (BAR + GAP) / 2
        out.append(f'<text x="{LEFT - 8}" y="{middle - 1:.1f}" text-anchor="end">{escape(label)}</text>')
        out.append(
            f'<text x="{LEFT - 8}" y="{middle + 11:.1f}" text-anchor="end" fill="#777777" font-size="9">'
            f"1 = {unit:.1f} ns</text>"
        )
        for peer, ratio, lowest, highest in bars:
            out += bar(x, y, COLOURS.get(peer, OTHER), ratio, lowest, highest)
            y += BAR + GAP
        y += ROW_GAP

    origin = ", ".join(heading[what] for what in ("processor", "rustc", "date") if what in heading)
    commit = heading.get("commit", "")[:12]
    out.append(f'<text x="{LEFT}" y="{height - 24}" fill="#777777">{escape(origin)}</text>')
    out.append(
        f'<text x="{LEFT}" y="{height - 10}" fill="#777777">commit {escape(commit)}; medians of the rounds, '
        "whiskers: fastest and slowest round</text>"
    )
    out.append("</svg>\n")
    return "\n".join(out)


def bar(x, y, colour, ratio, lowest, highest):
    """A bar from 1 to the ratio, its whisker and its number."""
    left, right = sorted((x(1), x(ratio)))
    middle = y + BAR / 2
    yield f'<rect x="{left:.1f}" y="{y:.1f}" width="{max(right - left, 1):.1f}" height="{BAR}" fill="{colour}"/>'
    yield (
        f'<line x1="{x(lowest):.1f}" y1="{middle:.1f}" x2="{x(highest):.1f}" y2="{middle:.1f}" '
        'stroke="black" stroke-width="0.7"/>'
    )
    at = max(right, x(highest)) + 4
    yield f'<text x="{at:.1f}" y="{y + BAR - 1:.1f}" font-size="9">{ratio:.2f}</text>'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="raw data of the matrix")
    parser.add_argument("--out", type=Path, help="the picture; beside the raw data when not given")
    parser.add_argument("--reference", default="dashmap")
    parser.add_argument("--peers", help="comma-separated; all but the floor and the reference when not given")
    parser.add_argument("--threads", help="comma-separated; all when not given")
    parser.add_argument("--only", help="comma-separated workloads; all when not given")
    options = parser.parse_args()

    heading, rows = read(options.csv)
    if options.threads:
        wanted = set(map(int, options.threads.split(",")))
        rows = {row: times for row, times in rows.items() if row[1] in wanted}
    if options.only:
        wanted = set(options.only.split(","))
        rows = {row: times for row, times in rows.items() if row[0] in wanted}
    present = {peer for times in rows.values() for peer in times}
    if options.peers:
        peers = [peer for peer in options.peers.split(",") if peer in present]
    else:
        order = [*COLOURS, *sorted(present - set(COLOURS))]
        peers = [peer for peer in order if peer in present - {"floor", options.reference}]
    groups = list(ratios(rows, options.reference, peers))
    if not groups or not peers:
        parser.error("nothing to draw: no such peers, workloads or threads in the file")
    out = options.out or options.csv.with_suffix(".svg")
    out.write_text(draw(heading, groups, options.reference, peers), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
