"""The report of a run: one file, for who wants a verdict and who wants proof."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from orchestra.types.lab import Interval, Metrics, Sample
from orchestra.types.persona import Personas

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SHOWN_QUESTIONS = 6
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.6 system-ui, sans-serif; margin: 0 auto; max-width: 1040px; padding: 24px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: .2em 0; } h2 { margin: 2em 0 .3em; }
.verdict { border-left: 6px solid; padding: 12px 20px; background: var(--soft); }
.yes { border-color: #2e8b57; } .no { border-color: #c0392b; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.reply { border-left: 4px solid; padding: 4px 14px; margin: 10px 0; }
.soft { opacity: .75; } details { margin: 1em 0; }
figure { margin: 0; overflow-x: auto; } #traits { min-width: 46rem; }
@media (max-width: 600px) { body { padding: 14px; } h1 { font-size: 1.35rem; } }
"""


def report(metrics: Metrics, samples: Sequence[Sample], personas: Personas) -> str:
    """The page, as HTML that needs nothing else.

    Args:
        metrics: What was found.
        samples: What was said; a few questions are shown with all answers.
        personas: Who was asked: their names and colours.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  # half a second, for who needs it

    body = "\n".join(_sections(metrics, samples, personas))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>How distinct are they?</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>{body}</main></body></html>"
    )


def _sections(metrics: Metrics, samples: Sequence[Sample], personas: Personas) -> Iterator[str]:
    yield _verdict(metrics, personas)
    yield "<h2>What had to hold</h2>" + _table(
        ("", "", "found", "needed"),
        [
            ("✓" if bar.passed else "✗", bar.name, _percent(bar.value), bar.needed)
            for bar in metrics.bars
        ],
    )
    yield "<h2>How often the judge was right</h2>" + _figure(
        "shares", _shares(metrics), "Shares told right, with 95 % intervals"
    )
    yield "<h2>Who is taken for whom</h2>" + _figure(
        "confusion", _confusion(metrics, personas), "Who wrote a reply, and who was told"
    )
    yield (
        "<h2>Traits: as set, and as heard</h2><p>Left to right: what the author set. Bottom to "
        "top: what the replies show by their words and punctuation, in standard deviations from "
        "the mean of all replies. Where points rise, the text shows what was set.</p>"
    ) + _figure("traits", _traits(metrics, personas), "Configured and expressed traits")
    yield _orders_table(metrics)
    yield _persona_table(metrics)
    yield _hygiene_table(metrics)
    yield _examples(samples, personas)
    yield _method(metrics)


def _verdict(metrics: Metrics, personas: Personas) -> str:
    names = [one.name for one in personas.members]
    who = f"{', '.join(names[:-1])} and {names[-1]}"
    is_are = "are distinct" if metrics.distinct else "are not shown to be distinct"
    low, high = (round(100 * end) for end in metrics.ci95)
    said = (
        f"With names, roles and greetings removed, {metrics.attribution_accuracy:.0%} of "
        f"{metrics.questions * len(names)} replies are told to be by the right one (95 % interval "
        f"{low} to {high} %). Guessing would give {metrics.chance:.0%}."
    )
    failed = [bar.name for bar in metrics.bars if not bar.passed]
    why = f" Not passed: {'; '.join(failed)}." if failed else ""
    notes = "".join(f"<p class='soft'>{escape(note)}</p>" for note in metrics.notes)
    kind = "yes" if metrics.distinct else "no"
    return (
        f"<div class='verdict {kind}'><h1>{escape(who)} {is_are}.</h1><p>{escape(said + why)}</p>"
        f"</div><p class='soft'>{metrics.replies} replies to {metrics.questions} questions, by "
        f"{escape(metrics.model)}.</p>{notes}"
    )


def _shares(metrics: Metrics) -> go.Figure:
    import plotly.graph_objects as go  # noqa: PLC0415  # as above

    low, high = metrics.ci95
    rows: list[tuple[str, Interval]] = [
        ("Told apart", Interval(value=metrics.attribution_accuracy, low=low, high=high)),
        ("… without set phrases and punctuation", metrics.hard_masked),
        ("Question found from the reply", metrics.question_id),
    ]
    if metrics.on_character is not None:
        rows.insert(2, ("Sounds like its own examples", metrics.on_character))
    if metrics.control_accuracy is not None and metrics.control_ci95 is not None:
        least, most = metrics.control_ci95
        control = Interval(value=metrics.control_accuracy, low=least, high=most)
        rows.append(("The model without personas", control))
    figure = go.Figure(
        go.Scatter(
            x=[row.value for _, row in rows],
            y=[name for name, _ in rows],
            mode="markers",
            marker={"size": 12, "color": "#4a7bd0"},
            error_x={
                "array": [row.high - row.value for _, row in rows],
                "arrayminus": [row.value - row.low for _, row in rows],
                "thickness": 2,
            },
        )
    )
    figure.add_vline(x=metrics.chance, line_dash="dot", annotation_text="guessing")
    figure.update_xaxes(range=[0, 1.03], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _confusion(metrics: Metrics, personas: Personas) -> go.Figure:
    import plotly.graph_objects as go  # noqa: PLC0415  # as above

    names = [one.name for one in personas.members]
    rows = [list(metrics.confusion[one.id].values()) for one in personas.members]
    figure = go.Figure(
        go.Heatmap(
            z=rows,
            x=[f"told: {name}" for name in names],
            y=[f"by {name}" for name in names],
            text=rows,
            texttemplate="%{text}",
            colorscale="Blues",
            showscale=False,
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _traits(metrics: Metrics, personas: Personas) -> go.Figure:
    from plotly.subplots import make_subplots  # noqa: PLC0415  # as above

    traits = list(metrics.trait_readback)
    columns = 4
    figure = make_subplots(
        rows=-(-len(traits) // columns),
        cols=columns,
        subplot_titles=traits,
        shared_yaxes=True,
        vertical_spacing=0.2,
    )
    for place, trait in enumerate(traits):
        for one in personas.members:
            read = metrics.trait_readback[trait].per_persona[one.id]
            figure.add_scatter(
                x=[read.configured],
                y=[read.expressed],
                error_y={
                    "array": [read.high - read.expressed],
                    "arrayminus": [read.expressed - read.low],
                },
                mode="markers",
                name=one.name,
                legendgroup=one.id,
                showlegend=place == 0,
                marker={"size": 10, "color": one.accent},
                row=place // columns + 1,
                col=place % columns + 1,
            )
    figure.update_xaxes(range=[-0.05, 1.05])
    figure.update_layout(height=480)
    return figure


def _figure(name: str, figure: go.Figure, description: str) -> str:
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#808890"},
        margin={"l": 10, "r": 20, "t": 40, "b": 40},
        height=figure.layout.height or 340,
    )
    figure.update_xaxes(gridcolor="rgba(128,128,128,.25)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(128,128,128,.25)", zeroline=False)
    # A '</script>' in a name must not end ours.
    drawn = str(figure.to_json()).replace("</", "<\\/")
    options = json.dumps({"displayModeBar": False, "responsive": True})
    return (
        f"<figure role='img' aria-label='{escape(description)}'><div id='{name}'></div></figure>"
        f"<script>{{const f={drawn};Plotly.newPlot('{name}',f.data,f.layout,{options})}}</script>"
    )


def _orders_table(metrics: Metrics) -> str:
    heads = ("", "pairs set apart", "in the order that was set", "of these, beyond chance")
    rows = [
        (trait, str(one.pairs), str(one.in_order), str(one.certain))
        for trait, one in metrics.trait_readback.items()
    ]
    return _table(heads, rows)


def _persona_table(metrics: Metrics) -> str:
    heads = (
        "",
        "revision",
        "told right",
        "like its examples",
        "strength",
        "words",
        "seconds",
        "itself twice",
        "drift",
    )
    rows: list[tuple[str, ...]] = []
    for one in metrics.per_persona.values():
        drift = "not asked"
        if one.drift is not None:
            drift = f"{one.drift.first_half:.0%}, later {one.drift.second_half:.0%}"
        rows.append(
            (
                one.name,
                one.revision,
                _interval(one.attribution),
                _interval(one.on_character),
                "not measured" if one.strength is None else f"{one.strength.value:.2f}",
                f"{one.median_words:.0f}",
                f"{one.median_seconds:.1f}",
                _percent(one.self_agreement),
                drift,
            )
        )
    turns = next((one.drift.turns for one in metrics.per_persona.values() if one.drift), 0)
    note = (
        "'Strength': how far its manner lies from that of the model without any persona, in "
        "standard deviations. "
        "'Itself twice': how well two rounds of one persona are told apart; about 50 % is right. "
        f"'Drift': turns of a conversation of {turns} told to be its own, first and second half."
    )
    return f"<h2>One by one</h2>{_table(heads, rows)}<p class='soft'>{note}</p>"


def _hygiene_table(metrics: Metrics) -> str:
    found = metrics.hygiene
    rows = [
        ("Name of another persona", _percent(found.other_names)),
        ("Own name", _percent(found.own_name)),
        ("Figures that nobody gave", _percent(found.invented_figures)),
        ("Cut off in a sentence", _percent(found.cut_off)),
        ("Going round in circles", _percent(found.loops)),
        ("Unfilled placeholder", _percent(found.placeholders)),
        ("Copied from its examples", _percent(found.copies)),
    ]
    return "<h2>What no reply should have</h2>" + _table(("", "of replies"), rows)


def _examples(samples: Sequence[Sample], personas: Personas) -> str:
    firsts = [one for one in samples if one.part == "first"]
    asked = list(dict.fromkeys(one.question for one in firsts))[:_SHOWN_QUESTIONS]
    parts = ["<h2>In their own words</h2><p>The first questions, unselected.</p>"]
    for question in asked:
        parts.append(f"<h3>{escape(question)}</h3>")
        parts += [
            f"<div class='reply' style='border-color:{one.accent}'><b>{escape(one.name)}</b><br>"
            f"{escape(sample.reply)}</div>"
            for one in personas.members
            for sample in firsts
            if (sample.persona_id, sample.question) == (one.id, question)
        ]
    return "".join(parts)


def _method(metrics: Metrics) -> str:
    separation = separation_shown(metrics.separation_ratio)
    return (
        "<details><summary>How this was measured</summary>"
        "<p>Everybody answers the same questions, without routing and without memory. The judge is "
        "kernel ridge regression on three views of each reply (meaning, letters, function words "
        "and punctuation), with fixed settings; it is always taught on the replies to all other "
        "questions. Intervals are bootstrapped over questions. "
        f"The chance that labels shuffled within questions do as well: p = {metrics.p_value:g} "
        "(501 shuffles; it cannot be less than 0.002). Distance between personas over the distance "
        f"of two rounds of one persona: {separation} (1: no difference). Replies that tell both "
        f"their writer and their question: {metrics.joint:.0%}.</p>"
        "<p>What this does not say: whether a reply is right, useful or liked. A blind test with "
        "people is the last word on voices.</p></details>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(one)}</th>" for one in heads)
    body = "".join(
        "<tr>"
        f"<th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td class='number'>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "too few examples"
    return f"{interval.value:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0%}"


def separation_shown(ratio: float | None) -> str:
    """The distance between personas in words, for people."""
    return "not measurable" if ratio is None else f"{ratio:.2f}"


def as_json(metrics: Metrics, indent: int | None = 2) -> str:
    """What `metrics.json` holds; valid JSON, which knows no infinity."""
    content: dict[str, Any] = metrics.model_dump(mode="json")
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
