"""One self-contained page: words, tables and figures in a single file, without a script."""

import io
import re
from html import escape
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.8rem; border-bottom: 1px solid #ddd; text-align: left; }
td.number, th.number { text-align: right; }
pre { background: #f5f5f5; padding: 0.8rem; overflow-x: auto; }
summary { cursor: pointer; }
"""


def write(path, title, *parts):
    """Write the page; each part is HTML already."""
    body = "\n".join(parts)
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
    Path(path).write_text(text, encoding="utf-8")


def heading(text):
    return f"<h2>{escape(text)}</h2>"


def lines(texts):
    """A list, a point for each text."""
    points = "\n".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>\n{points}\n</ul>"


def code(text):
    return f"<pre>{escape(text)}</pre>"


def folded(summary, part):
    """A part that opens at a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{part}\n</details>"


def table(rows):
    """A table of texts; the first row is the head. Columns of numbers stand to the right."""
    head, *body = rows
    kinds = [
        ' class="number"' if all(_is_number(cell) for cell in column) else ""
        for column in zip(*body, strict=True)
    ] or [""] * len(head)

    def row(cells, tag):
        pairs = zip(cells, kinds, strict=True)
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for c, k in pairs) + "</tr>"

    made = "\n".join(row(cells, "td") for cells in body)
    return f"<table>\n<thead>{row(head, 'th')}</thead>\n<tbody>\n{made}\n</tbody>\n</table>"


def _is_number(text):
    try:
        float(text.replace(",", "") or "nan")
    except ValueError:
        return False
    return True


def svg(figure, label):
    """A figure as vectors in the page; the same figure gives the same text."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "microreg"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = re.sub(r".*?(?=<svg)", "", file.getvalue(), count=1, flags=re.DOTALL)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
