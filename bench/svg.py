"""Charts as SVG: bars in groups, and panels of dots. Readable on light and dark pages: they bring their own background, which follows
what the reader prefers. The same figures give the same bytes."""
import math
from xml.sax.saxutils import escape

from figures import number

STYLE = """
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;fill:#1b2430}
.back{fill:#fff;stroke:#d5dbe1}.title{font-size:17px;font-weight:600}.dim{fill:#5b6773;font-size:12px}.head{fill:#5b6773;font-size:12px;font-weight:600}
.strong{font-weight:600}.value{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#e3e8ed}.axis{stroke:#8d99a5}.band{fill:#2f8f5b;fill-opacity:.14}
.own{fill:#2a6fd0}.own2{fill:#2a6fd0;fill-opacity:.55}.peer{fill:#8a97a5}.peer2{fill:#8a97a5;fill-opacity:.6}.mark{stroke:#d0602a;stroke-dasharray:4 3}.note{fill:#b04c1a;font-size:12px}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.back{fill:#0d1117;stroke:#30363d}.value{stroke:#0d1117}.dim,.head{fill:#9aa6b2}.grid{stroke:#21282f}.axis{stroke:#6e7a86}
.own{fill:#58a0f5}.own2{fill:#58a0f5}.peer,.peer2{fill:#77838f}.band{fill:#4bbf82}.mark{stroke:#f0925c}.note{fill:#f0a376}}
"""
WIDTH = 860


class Chart:
    """Elements as they come; the height is where the last one ended."""

    def __init__(self, title, about):
        self.parts, self.title = [], title
        self.text(24, 34, title, "title")
        self.text(24, 55, about, "dim")
        self.bottom = 72

    def add(self, element):
        self.parts.append(element)

    def text(self, x, y, text, style=""):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, style):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def bar(self, x, y, width, height, style, tip):
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2" class="{style}"><title>{escape(tip)}</title></rect>')

    def save(self, path):
        height = self.bottom + 20
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" role="img">\n'
                       f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n"
                       f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" class="back"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def ticks(least, most, logarithmic):
    if logarithmic:
        powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
        steps = (1,) if most / least > 1000 else (1, 2, 5)
        return [t for t in (by * 10.0**power for power in powers for by in steps) if least * 0.999 <= t <= most]
    step = 10 ** math.floor(math.log10(most / 2))
    step *= next(by for by in (1, 2, 5, 10) if most / (step * by) <= 6)
    return [step * i for i in range(int(most / step) + 1)]


def below(value):
    """1, 2 or 5 times a power of ten, where an axis may begin."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * max(by for by in (1, 2, 5) if by * power <= value * 1.0001)


def bars(path, title, about, axis, groups, mark=None, left=250):
    """`groups`: (heading, [(label, [(value, its text)], is it ours)]). `mark`: (value, what it is). Logarithmic where figures
    are far apart."""
    groups = [(heading, [row for row in rows if row[1]]) for heading, rows in groups]
    groups = [(heading, rows) for heading, rows in groups if rows]
    values = [value for _, rows in groups for _, of_row, _ in rows for value, _ in of_row] + ([mark[0]] if mark else [])
    logarithmic = max(values) > 20 * min(values)
    least = below(min(values) * 0.6) if logarithmic else 0
    most, right = max(values) * (1.05 if logarithmic else 1.02), WIDTH - 150
    chart = Chart(title, about)

    def at(value):
        part = math.log(value / least) / math.log(most / least) if logarithmic else value / most
        return left + part * (right - left)

    top, y = chart.bottom, chart.bottom
    drawn, chart.parts = chart.parts, []
    for heading, rows in groups:
        y += 18 if heading else 4
        if heading:
            chart.text(24, y, heading, "head")
            y += 8
        for label, of_row, own in rows:
            height = 18 if len(of_row) == 1 else 13
            middle = y + (len(of_row) * (height + 2)) / 2 + 4
            chart.text(left - 10, middle, label, "end strong" if own else "end")
            for i, (value, text) in enumerate(of_row):
                style = ("own" if own else "peer") + ("2" if i else "")
                chart.bar(left, y, at(value) - left, height, style, f"{label}: {number(value)} {axis}")
                chart.text(at(value) + 6, y + height / 2 + 4.2, text, "value strong" if own else "value")
                y += height + 2
            y += 7
    over, chart.parts = chart.parts, drawn
    for tick in ticks(least, most, logarithmic):
        chart.line(at(tick), top, at(tick), y, "grid")
        chart.text(at(tick), y + 16, number(tick) if tick else "0", "dim middle")
    chart.line(left, top, left, y, "axis")
    if mark:
        chart.line(at(mark[0]), top - 4, at(mark[0]), y, "mark")
        chart.text(at(mark[0]) + 5, top + 8, mark[1], "note")
    chart.parts += over
    chart.text((left + right) / 2, y + 36, axis + (" (logarithmic)" if logarithmic else ""), "dim middle")
    chart.bottom = y + 36
    chart.save(path)


def panels(path, title, about, axis, found, band):
    """Dots: `found` is [(name of the x axis, [(x, y, label)])], x evenly spaced; `band`: (least, most, what it is) of y."""
    chart = Chart(title, about)
    left, right, gap, top, height = 62, WIDTH - 24, 20, chart.bottom + 14, 210
    count = sum(len(points) + 1 for _, points in found)
    most = max([y for _, points in found for _, y, _ in points] + [band[1] * 1.25]) * 1.12

    def at(y):
        return top + height * (1 - y / most)

    for tick in ticks(0, most, False):
        chart.line(left, at(tick), right, at(tick), "grid")
        chart.text(left - 8, at(tick) + 4, number(tick) if tick else "0", "dim end")
    chart.add(f'<text transform="translate(20 {top + height / 2:.0f}) rotate(-90)" class="dim middle">{escape(axis)}</text>')
    x = left
    for name, points in found:
        width = (right - left - gap * (len(found) - 1)) * (len(points) + 1) / count
        chart.add(f'<rect x="{x:.1f}" y="{at(band[1]):.1f}" width="{width:.1f}" height="{at(band[0]) - at(band[1]):.1f}" class="band"/>')
        chart.line(x, top + height, x + width, top + height, "axis")
        chart.text(x + width / 2, top - 6, name, "head middle")
        for i, (value, y, label) in enumerate(points):
            center = x + width * (i + 1) / (len(points) + 1)
            inside = band[0] <= y <= band[1]
            chart.add(f'<circle cx="{center:.1f}" cy="{at(y):.1f}" r="5" class="{"own" if inside else "note"}"><title>{escape(f"{name} {value}: {label}")}</title></circle>')
            chart.text(center, at(y) - 10, label, "middle dim")
            chart.text(center, top + height + 17, value, "dim middle")
        x += width + gap
    chart.text(left, top + height + 40, band[2], "dim")
    chart.bottom = top + height + 40
    chart.save(path)
