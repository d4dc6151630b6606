"""Typed facts: what counts as stating them, by tables of paraphrases and mutants, and by generated numbers."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.record import Case, Reply
from bench.score.facts import Facts, check, judge, read, stated
from bench.score.gold import BadFact, parse
from bench.score.numerals import readings, spell

SETTINGS = settings(max_examples=150, derandomize=True, deadline=None)


def number(value, unit=None, **more):
    return {"type": "number", "value": value, **({"unit": unit} if unit else {}), **more}


def money(value, currency, **more):
    return {"type": "money", "value": value, "currency": currency, **more}


def percent(value, **more):
    return {"type": "percent", "value": value, **more}


def date(value, **more):
    return {"type": "date", "value": value, **more}


def name(value, *aliases):
    return {"type": "name", "value": value, "aliases": list(aliases)}


def phrase(*any_of):
    return {"type": "phrase", "any_of": list(any_of)}


def right(gold, reply, rejects=(), **options):
    case = Case("c", (), {"gold": gold if isinstance(gold, list) else [gold], "rejects": list(rejects)})
    value = Facts("answer", **options).score(case, Reply(text=reply)).value
    assert value in (0.0, 1.0)
    return value == 1.0


# Each row: a fact, ways of saying it, and mutants: a digit, the unit, the sign, the kind or the person changed,
# a range or an alternative around it, or the same digits as a mark that states no amount.
TABLE = [
    (
        number("30", "calendar days"),
        ["30 calendar days", "30 days", "thirty days", "thirty (30) calendar days", "30 (thirty) calendar days",
         "a 30-day window",
         "30 consecutive days", "30 (calendar) days", "30 days (calendar)", "30d", "Days: 30", "Calendar days: 30",
         "30.0 days",
         "not later than 30 days", "30\u2011day period", "4 weeks and 2 days", "within 30 days' notice",
         "30 [4] days", "30 days, not 14",
         "_30_ days", "<b>30</b> days", "30\u00a0days", "\uff13\uff10 days", "extended from 14 to 30 days"],
        ["130 days", "30,000 days", "3.0 days", "§30", "[30]", "Section 30", "30 working days", "30 business days",
         "-30 days",
         "30 weeks", "30 hours", "30 months", "P-30 days", "30 EUR", "30%", "30", "14 days", "10-30 days",
         "30 to 45 days",
         "between 30 and 45 days", "14 or 30 days", "14, 30 or 45 days", "not 30 days", "previously 30 days",
         "30.5 days", "1.30 days",
         "30/45 days", "30 days (working days)", "one month", "30 days and 4 hours", "30th day",
         "~~30 days~~ 45 days", "30¹ days",
         "30 days (superseded)", "the previous limit of 30 days", "extended from 30 to 45 days", "30.000 days",
         "30 x 40 days", "±30 days"],
    ),
    (
        number("14", "days"),
        ["2 weeks", "two weeks", "a fortnight", "within a fortnight", "14 calendar days", "fourteen days",
         "a 2-week period", "14 days",
         "14-day", "exactly 14 full days"],
        ["2 months", "14 working days", "a week", "2 weeks and 1 day", "336 hours", "14 weeks", "4 days", "114 days",
         "41 days", "two days"],
    ),
    (
        number("24", "months"),
        ["2 years", "two years", "24 months", "twenty-four months", "twenty four months", "24-month",
         "1 year and 12 months", "8 quarters",
         "2.0 years", "24 calendar months"],
        ["24 years", "2 months", "730 days", "2 years and 6 months", "24 weeks", "1 year", "2½ years",
         "24 fiscal quarters", "42 months",
         "240 months", "2 fiscal years"],
    ),
    (
        number("90", "minutes"),
        ["1.5 hours", "1 hour 30 minutes", "1 h 30 min", "1½ hours", "one and a half hours", "90 min",
         "ninety minutes", "1,5 h",
         "1 hour and 30 minutes", "5400 seconds"],
        ["90 seconds", "1 hour", "30 minutes", "9 minutes", "90 hours", "1 hour 30 seconds", "190 minutes",
         "15 hours", "90 working hours",
         "-90 minutes"],
    ),
    (
        number("10", "working days"),
        ["10 working days", "ten business days", "10 (working) days", "10 days (working days)", "10 workdays",
         "ten (10) working days",
         "within 10 working days", "10-working-day", "10 Business Days", "**10 working days**"],
        ["10 days", "10 calendar days", "two weeks", "10 working hours", "11 working days", "100 working days",
         "10-15 working days",
         "1 working day", "10 days (calendar)", "10"],
    ),
    (
        number("12"),
        ["12", "twelve", "a dozen", "12 sites", "12 [3]", "twelve (12)", "12.0", "no more than 12", "12 (twelve)",
         "one dozen"],
        ["120", "1.2", "12%", "12 EUR", "12th", "§ 12", "section 12", "[12]", "P12", "12-B", "1,200", "12:30",
         "12/24", "clause 12", "12.5",
         "112", "v12", "2012", "page 12", "#12", "v3.12", "−12", "0012", "3.12.4", "twelfth", "source 12", "12-14"],
    ),
    (
        number("12", "sites"),
        ["12 sites", "twelve sites", "12 European sites", "a dozen sites", "12 of our sites", "twelve (12) sites",
         "12 site",
         "12 works council sites", "12 sites [1]", "Sites are 12 sites"],
        ["12 customers", "12 customers at 3 sites", "2 sites", "12", "12 days", "12% of sites", "112 sites",
         "site 12", "12 EUR", "1.2 sites"],
    ),
    (
        number("1250"),
        ["1,250", "1.250", "1 250", "1'250", "1250", "1,250.00", "1.250,00", "1.25k",
         "one thousand two hundred fifty", "1\u202f250"],
        ["12,50", "1,25", "125", "12500", "1.25", "1,250.5", "11,250", "1,250,000", "-1,250", "1,520", "2,150"],
    ),
    (
        number("-5", "°C"),
        ["-5 °C", "−5 °C", "–5 °C", "minus 5 °C", "minus five degrees Celsius", "negative 5 degrees Celsius", "-5°C",
         "-5.0 °C", "-5 ℃",
         "minus five °C"],
        ["5 °C", "-5 °F", "-15 °C", "-5", "-50 °C", "-5 K", "+5 °C", "-5%", "-5 to 5 °C", "-0.5 °C"],
    ),
    (
        number("230", "V"),
        ["230 V", "230V", "230 volts", "0.23 kV", "two hundred and thirty volts", "230-volt", "230,000 mV", "230.0 V",
         "(230 V)", "230 Volt"],
        ["230 W", "23 V", "230 kV", "400 V", "230 mV", "2300 V", "230 A", "230-240 V", "230", "320 V", "1230 V"],
    ),
    (
        number("10", "days", to="20"),
        ["10-20 days", "10 to 20 days", "between 10 and 20 days", "from 10 to 20 days", "10 – 20 days",
         "ten to twenty days",
         "10–20 calendar days", "10 days to 20 days", "between ten and twenty days", "10-20 d"],
        ["10 days", "20 days", "10-25 days", "5-20 days", "10-20 hours", "10 or 20 days", "20-10 days",
         "10-20 working days", "10-20",
         "110-20 days"],
    ),
    (
        money("1250.00", "EUR"),
        ["EUR 1,250.00", "1.250,00 EUR", "€1250", "1 250 €", "EUR 1.25k", "€1.25k", "1,250 euros",
         "one thousand two hundred and fifty euros",
         "EUR 1.250", "€ 1.250,-", "1'250.00 EUR", "EUR1250", "1250 EUR (gross)", "**€1,250**", "1.25 thousand euros",
         "€1,250 EUR"],
        ["EUR 1,205.00", "DKK 1,250.00", "1,250", "$1,250", "EUR 12,500", "EUR 1.25", "EUR 1,250.50", "-EUR 1,250",
         "EUR -1,250.00",
         "€-1,250", "EUR 11,250", "EUR 1.25 million", "£1,250", "1,250 USD", "EUR 1,250-1,500", "€1,250 CAD",
         "EUR 125.00",
         "between EUR 1,000 and EUR 1,250", "1250%", "1250 kr", "EUR 1,250 or EUR 1,500", "not EUR 1,250"],
    ),
    (
        money("1250000", "EUR"),
        ["EUR 1.25 million", "€1.25m", "€1.25M", "1.25 million euros", "EUR 1,250,000", "1.25 mio EUR",
         "1.250.000 EUR", "EUR 1.250 million",
         "1 250 000,00 €", "EUR 1250k"],
        ["EUR 1.25 billion", "EUR 1.25", "DKK 1.25 million", "EUR 125,000", "EUR 12.5 million", "EUR 1.25k",
         "1.25 million", "EUR 1.52 million",
         "€1.25 million USD", "1.25 m"],
    ),
    (
        money("4500", "DKK"),
        ["DKK 4,500", "4.500 kr", "4,500 kroner", "4 500 Danish kroner", "kr. 4.500,00", "4500 DKK", "4.500,- kr.",
         "DKK 4.5k", "dkk 4500",
         "4,500.00 kr"],
        ["EUR 4,500", "4,500 Swedish kronor", "SEK 4,500", "4,500 kr SEK", "DKK 450", "4,500", "DKK 5,400",
         "DKK 45,000", "$4,500", "€4500"],
    ),
    (
        money("-50", "EUR"),
        ["-€50", "€-50", "EUR -50", "-50 EUR", "minus 50 euros", "−€50.00", "minus €50", "-50.00 €",
         "negative 50 euros", "minus fifty euros"],
        ["€50", "50 EUR", "-$50", "-€5", "€150", "-€500", "-50", "-50%", "–", "-€50.50"],
    ),
    (
        percent("15"),
        ["15%", "15 %", "15 per cent", "fifteen percent", "15 pct", "15.0%", "15,0 %", "a **15%** fee", "(15%)",
         "a 15-percent fee",
         "15 percent of the price", "fifteen (15) per cent"],
        ["15", "1.5%", "-15%", "15 percentage points", "15 %-points", "115%", "10-15%", "10% to 15%", "15 EUR", "15‰",
         "50%", "5%", "not 15%",
         "10% or 15%", "15 days", "0.15"],
    ),
    (
        percent("2.5"),
        ["2.5%", "2,5 %", "2½%", "2.5 percent", "two and a half percent", "2.50 %", "two and a half per cent",
         "2 ½ %", "2.5 pct.", "2.5 %"],
        ["25%", "2%", "5%", "0.5%", "2.5 points", "-2.5%", "2.55%", "2.5", "2.5-3%", "12.5%"],
    ),
    (
        date("2026-03-02"),
        ["2026-03-02", "2 March 2026", "March 2nd, 2026", "March 2, 2026", "02.03.2026", "2.3.2026",
         "Monday, 2 March 2026",
         "the 2nd of March 2026", "2 Mar 2026", "Mar. 2, 2026", "2026/03/02", "on Monday 2nd March, 2026.",
         "MARCH 2, 2026",
         "2026-03-02T09:00Z", "02.03.26", "2026 March 2", "(2 March 2026)", "2-Mar-2026"],
        ["2/3/2026", "3 March 2026", "2 March 2025", "2 April 2026", "2026-02-03", "03.02.2026", "12 March 2026",
         "2 March", "March 2026",
         "22 March 2026", "1-2 March 2026", "2 March 2026 or 3 March 2026", "not 2 March 2026", "2026-03-20",
         "2 May 2026", "2026",
         "previously 2 March 2026"],
    ),
    (
        date("2026-12-25"),
        ["25/12/2026", "12/25/2026", "25-12-2026", "25.12.2026", "Dec 25, 2026", "25th Dec 2026", "25 December 2026",
         "December 25th 2026",
         "Friday, 25 December 2026", "2026-12-25"],
        ["25/12/2025", "12/24/2026", "25.11.2026", "25 December", "12/2026", "52/12/2026", "2026-25-12", "15/12/2026",
         "25/10/2026", "5/12/2026"],
    ),
    (
        date("2026-03"),
        ["March 2026", "2026-03", "Mar 2026", "in March, 2026", "MARCH 2026", "Mar. 2026", "by the end of March 2026",
         "March of 2026",
         "(March 2026)", "March 2026."],
        ["2 March 2026", "March 2025", "April 2026", "2026-03-02", "March", "2026", "2025-03", "May 2026", "2026-13",
         "March 26, 2026"],
    ),
    (
        name("Lena Okafor", "L. Okafor"),
        ["Lena Okafor", "LENA OKAFOR", "Léna Okafor's approval", "L. Okafor", "L Okafor", "Okafor, Lena",
         "(Lena Okafor)", "Lena  Okafor",
         "**Lena Okafor**", "Lena\u00a0Okafor", "Ms Lena Okafor", "Lena Okafor’s", "not Jonas Weber but Lena Okafor"],
        ["Marlena Okafor", "Lena Okafor-Smith", "Okafor", "Lena", "Lena Okaforsen", "Jonas Okafor", "M. Okafor",
         "Lena Okoro",
         "not Lena Okafor", "Lena Okafor or Jonas Weber", "Lena M. Okafor", "instead of Lena Okafor",
         "formerly Lena Okafor"],
    ),
    (
        name("CX-200"),
        ["CX-200", "cx 200", "the CX‑200's motor", "CX-200.", "(CX-200)", "“CX-200”", "CX-200, CX-300",
         "model CX-200", "the CX-200 or newer",
         "CX-200:"],
        ["CX-2000", "CX-200-B", "CX-201", "XCX-200", "CX-200B", "CX-20", "CX-200.5", "DX-200", "CX-1200", "A-CX-200"],
    ),
    (
        phrase("two approvers", "dual approval"),
        ["two approvers", "2 approvers", "dual approval", "dual-approval", "Two  approvers",
         "requires dual\u00a0approval",
         "cannot be released without dual approval", "No, two approvers are needed", "two approvers.",
         "not only dual approval", "DUAL APPROVAL"],
        ["twenty-two approvers", "three approvers", "no dual approval", "does not need two approvers",
         "individual approval", "12 approvers",
         "without dual approval", "dual approvalist", "one approver", "instead of two approvers",
         "neither two approvers nor a stamp"],
    ),
    (
        phrase("not covered"),
        ["Water damage is not covered.", "It's not covered", "Not covered", "not  covered", "(not covered)",
         "not-covered", "is **not covered**",
         "not covered [2]", "No: not covered", "NOT COVERED"],
        ["Water damage is covered.", "uncovered", "not directly covered", "covered, not excluded", "knot covered",
         "not coverede", "not recovered",
         "never covered", "no cover", "not discovered", "covers not"],
    ),
]  # fmt: skip

FRAMES = (
    "Answer: {}",
    "**Answer:** {}",
    "## Answer\n\n{}\n\nThe rest is background.",
    "- Answer: {}\n\nThis follows from passage 4.",
)
ACCEPTED = [pytest.param(fact, way, id=f"{parse(fact).label}: {way}") for fact, ways, _ in TABLE for way in ways]
REFUSED = [pytest.param(fact, way, id=f"{parse(fact).label}: {way}") for fact, _, mutants in TABLE for way in mutants]


def test_every_fact_type_is_tried_with_at_least_ten_paraphrases_and_ten_mutants():
    assert {fact["type"] for fact, _, _ in TABLE} == {"number", "money", "percent", "date", "name", "phrase"}
    assert all(len(set(ways)) >= 10 and len(set(mutants)) >= 10 for _, ways, mutants in TABLE)


@pytest.mark.parametrize(("fact", "way"), ACCEPTED)
def test_a_paraphrase_is_accepted_in_an_answer_line_and_in_plain_text(fact, way):
    for frame in FRAMES:
        assert right(fact, frame.format(way)), frame
    assert right(fact, way)


@pytest.mark.parametrize(("fact", "mutant"), REFUSED)
def test_a_mutant_is_refused_in_an_answer_line_and_in_plain_text(fact, mutant):
    for frame in FRAMES:
        assert not right(fact, frame.format(mutant)), frame
    assert not right(fact, mutant)


# Gold: 30 calendar days (the edition in force). Reject: 14 days (the edition before).
GOLD, OLD = number("30", "calendar days"), number("14", "days")
OFFERS = [
    (True, "Answer: 30 days\nThe old edition said 14 days."),
    (True, "Answer: 30 days, not 14 days."),
    (True, "Answer: 30 days (previously 14 days)."),
    (True, "Answer: 30 days, up from 14 days."),
    (True, "Answer: From 1 July 2025 the window is 30 days; before that it was 14 days."),
    (True, "Answer: 30 days. The 2023 edition said 14 days."),
    (True, "Answer: 30 days. The earlier 14-day window no longer applies."),
    (True, "Under the 2024 edition the window was 14 days. The edition in force sets 30 days. So you have 30 days."),
    (True, "You have 30 days. Note the 2023 edition said 14 days."),
    (True, "The 2023 edition said 14 days. The current edition says 30 days."),
    (True, "Passage 2 gives 14 days. Passage 4 gives 30 days and is in force. The answer is 30 days."),
    (False, "Answer: 14 days"),
    (False, "Answer: 14 days\nThe current edition says 30 days."),
    (False, "Answer: 30 days; 14 days in some cases"),
    (False, "Answer: 30 days\n\nFinal answer: 14 days"),
    (False, "Answer: 14 days\n\nFinal answer: 30 days"),
    (False, "You have 14 days. Note the 2023 edition said 30 days."),
    (False, "It is 14 or 30 days."),
    (False, "You have 30 days. Alternatively, 14 days apply."),
    (False, "Both 30 days and 14 days apply."),
    (False, "Passage 2 gives 14 days. Passage 4 gives 30 days. The answer is 14 days."),
    (False, "Answer: NOT IN DOCUMENTS\nThe passages mention 30 days."),
    (False, "Nothing is said about it."),
    (False, ""),
    (False, "Answer:"),
]


@pytest.mark.parametrize(("expected", "reply"), OFFERS)
def test_a_reject_counts_only_where_it_is_offered_as_the_answer(expected, reply):
    assert right(GOLD, reply, [OLD]) is expected


# Replies in the manner of chat models; each gold fact is in its answer.
MANNERS = [
    ([number("3", "months")], "**Answer:** The notice period is **3 months** (clause 7.2) [1][4]."),
    (
        [number("18", "months"), date("2027-09-14")],
        "Answer: 18 months from installation, i.e. until 14 September 2027 [2].",
    ),
    (
        [name("Lena Okafor")],
        "Answer: Yes — Lena Okafor (Head of Finance) must approve, as EUR 12,400 exceeds EUR 10,000 [3].",
    ),
    ([percent("15"), money("187.50", "EUR")], "Answer: 15% restocking fee (EUR 187.50)"),
    ([number("4", "hours")], "Answer: 4 hours (Tier 1), 8 hours outside business hours"),
    ([date("2026-03-31")], "Answer: By 31 March 2026 at the latest"),
    (
        [money("5000", "EUR"), money("25000", "EUR")],
        "Answer: €5,000 for site managers and €25,000 for regional directors.",
    ),
    ([number("5", "working days", to="10")], "Answer: between 5 and 10 working days"),
    ([number("2", "units")], "Answer: No more than two (2) units per order"),
    ([name("CX-200")], "Answer: CX-200 (part no. 4471-B)"),
    ([number("30", "calendar days")], "| Question | Answer |\n|---|---|\n| Window | 30 calendar-day period |"),
    ([number("30", "days")], "Answer: $30$ days"),
    ([number("30", "days")], "Answer: \\(30\\) days"),
    ([number("30", "days")], "Answer: \\boxed{30 \\text{ days}}"),
    ([percent("99.5")], "Answer: 99.5 % availability per calendar month"),
    ([number("12", "months")], "Answer: 12 months (1 year)"),
    ([name("Lena Okafor")], "Answer: Lena Okafor, Head of Finance, or her deputy Jonas Weber"),
    ([money("1250", "EUR")], "Answer: EUR 1,250 (in words: one thousand two hundred and fifty euros)"),
    ([phrase("yes")], "Answer: Yes. The seal is unbroken."),
    ([number("30", "days")], "Answer: customers can try 30 days for free"),
    ([money("30", "TRY")], "Answer: TRY 30"),
    ([money("0.05", "EUR")], "Answer: EUR 0.05 per scan"),
]


@pytest.mark.parametrize(("gold", "reply"), MANNERS)
def test_facts_are_found_in_replies_as_models_write_them(gold, reply):
    assert right(gold, reply)


def test_all_gold_facts_must_be_stated():
    gold = [GOLD, name("Lena Okafor"), money("1250", "EUR")]
    assert right(gold, "Answer: 30 days, approved by Lena Okafor up to EUR 1,250.")
    assert not right(gold, "Answer: 30 days, approved by Lena Okafor up to EUR 1,520.")
    assert right(gold, "Answer:\n- 30 days\n- Lena Okafor\n- 1.250 EUR")
    assert right(gold, "Answer: all of these:\n1. 30 days\n2. Lena Okafor\n3. 1.250 EUR")


def test_values_offered_with_or_are_stated_when_all_of_them_are_gold():
    assert right([number("10", "days"), number("20", "days")], "Answer: 10 or 20 days, by tenure")
    assert right([name("Lena Okafor"), name("Jonas Weber")], "Answer: Lena Okafor or Jonas Weber")
    assert right([date("2026-03-02"), date("2026-03-03")], "Answer: 2 March 2026 or 3 March 2026")
    assert not right([number("10", "days")], "Answer: 10 or 20 days, by tenure")


def test_the_text_after_a_closed_answer_line_is_not_the_answer():
    assert not right(GOLD, "Answer: yes\n\nThe window is 30 days.")
    assert right(GOLD, "Answer: see here:\nThe window is 30 days.\n\nMore text.")


def test_a_reject_inside_a_longer_gold_phrase_is_not_a_reject():
    assert right(phrase("two approvers from finance"), "Answer: two approvers from finance", [phrase("two approvers")])


def test_an_ambiguous_slash_date_is_read_only_when_the_order_is_stated():
    assert not right(date("2026-03-02"), "Answer: 2/3/2026")
    assert right(date("2026-03-02"), "Answer: 2/3/2026", day_first=True)
    assert right(date("2026-02-03"), "Answer: 2/3/2026", day_first=False)
    assert right(date("2026-03-03"), "Answer: 3/3/2026")


def test_a_bare_number_or_a_date_without_year_counts_only_where_the_fact_allows_it():
    assert right(number("30", "days", unit_optional=True), "Answer: 30.")
    assert not right(number("30", "days", unit_optional=True), "Answer: 30 weeks")
    assert not right(number("30", "days", unit_optional=True), "Answer: 30 boxes")
    assert right(money("50", "EUR", unit_optional=True), "Answer: 50")
    assert not right(money("50", "EUR", unit_optional=True), "Answer: DKK 50")
    assert right(date("2026-03-02", year_optional=True), "Answer: Monday, 2 March")
    assert not right(date("2026-03-02", year_optional=True), "Answer: 2 March 2025")


def test_a_case_without_facts_and_a_case_with_bad_facts_are_not_judged():
    scorer = Facts("answer")
    assert scorer.score(Case("c", (), {"answerable": False}), Reply(text="30 days")).value is None
    bad = scorer.score(Case("c", (), {"gold": [{"type": "nummer", "value": "3"}]}), Reply(text="3"))
    assert bad.value is None
    assert "expected.gold[0]: type: got 'nummer'" in bad.reason


def test_the_reason_names_what_is_missing_and_what_is_wrong():
    case = Case("c", (), {"gold": [GOLD], "rejects": [OLD]})
    score = Facts("answer").score(case, Reply(text="Answer: 14 days"))
    assert score.reason == "not stated: 30 calendar days; wrong, but offered: 14 days"
    assert score.scorer == "answer"
    assert score.version == "1"


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "number"},
        {"type": "number", "value": "abc"},
        {"type": "number", "value": 1.5},
        {"type": "number", "value": True},
        {"type": "number", "value": "NaN"},
        {"type": "money", "value": "5", "currency": "EURO"},
        {"type": "money", "value": "5"},
        {"type": "date", "value": "2026-02-30"},
        {"type": "date", "value": "2.3.2026"},
        {"type": "name", "value": "---"},
        {"type": "name", "value": "A", "aliases": "B"},
        {"type": "phrase", "any_of": "x"},
        {"type": "phrase", "any_of": []},
        {"type": "phrase", "any_of": ["30"]},
        {"type": "percent", "value": "5", "unit": "%"},
        {"type": "other"},
        "30 days",
    ],
)
def test_a_fact_that_cannot_be_read_is_refused_with_what_would_be_right(raw):
    with pytest.raises(BadFact, match=r"want|has"):
        parse(raw)
    assert check(Case("c", (), {"gold": [raw]}))


def english(value: Decimal) -> str:
    return f"{value:,f}"


def continental(value: Decimal) -> str:
    return f"{value:,f}".translate(str.maketrans(",.", ".,"))


def spaced(value: Decimal) -> str:
    return f"{value:,f}".replace(",", "\u202f")


def swiss(value: Decimal) -> str:
    return f"{value:,f}".replace(",", "'")


AMOUNT = st.decimals(min_value=0, max_value=10**9, places=2)


@SETTINGS
@given(
    amount=AMOUNT, style=st.sampled_from([english, continental, spaced, swiss, str]), sign=st.sampled_from(["", "-"])
)
def test_money_survives_every_way_of_writing_it(amount, style, sign):
    gold = money(sign + str(amount), "EUR")
    for text in (f"{sign}{style(amount)} EUR", f"EUR {sign}{style(amount)}", f"{sign}€{style(amount)}"):
        assert right(gold, f"Answer: {text}"), text


@SETTINGS
@given(amount=AMOUNT, other=AMOUNT, style=st.sampled_from([english, continental, spaced, swiss]))
def test_no_other_amount_is_taken_for_the_gold_one(amount, other, style):
    assert right(money(str(amount), "EUR"), f"Answer: {style(other)} EUR") == (amount == other)


@SETTINGS
@given(whole=st.integers(0, 10**12), style=st.sampled_from([english, spaced, swiss, continental]))
def test_a_whole_number_is_read_in_every_grouping(whole, style):
    assert Decimal(whole) in readings(style(Decimal(whole)).replace("\u202f", " "))


@SETTINGS
@given(value=st.integers(1, 10**6), near=st.integers(1, 10**6))
def test_a_number_of_days_matches_itself_only(value, near):
    assert right(number(str(value), "days"), f"Answer: {near} days") == (value == near)


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def in_words(n: int, dash: str) -> str:
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (dash + ONES[n % 10] if n % 10 else "")
    rest = f" and {in_words(n % 100, dash)}" if n % 100 else ""
    return f"{ONES[n // 100]} hundred{rest}"


@pytest.mark.parametrize("n", [*range(101), 110, 111, 120, 199, 250, 999])
def test_numbers_in_words_are_read_with_and_without_dash(n):
    for dash in ("-", " "):
        words = in_words(n, dash)
        assert spell(words, 0) == (Decimal(n), len(words))
        assert right(number(str(n), "days"), f"Answer: {words} days")
        assert not right(number(str(n + 1), "days"), f"Answer: {words} days")


@pytest.mark.parametrize("literal", ["1.2.3", "10.0.0.30", "007", "1,2,3", "12,34,5", "1.250.00"])
def test_digits_that_are_not_one_number_state_none(literal):
    assert readings(literal) == frozenset()


@SETTINGS
@given(
    day=st.dates(datetime.date(1990, 1, 1), datetime.date(2060, 12, 31)), other=st.dates(datetime.date(2020, 1, 1),
    datetime.date(2020, 12, 31))
)  # fmt: skip
def test_a_date_survives_every_way_of_writing_it_and_matches_no_other(day, other):
    ways = (
        f"{day.isoformat()}",
        f"{day.day} {day:%B} {day.year}",
        f"{day:%B} {day.day}, {day.year}",
        f"{day:%A}, {day:%d.%m.%Y}",
        f"{day.day} {day:%b} {day.year}",
    )
    for way in ways:
        assert right(date(day.isoformat()), f"Answer: {way}"), way
        if day != other:
            assert not right(date(other.isoformat()), f"Answer: {way}"), way


@SETTINGS
@given(text=st.text(alphabet=st.sampled_from(list("0123456789 .,-–/%€$[]()*_'\nabEURdayskor½²①")), max_size=60))
def test_any_text_can_be_read_without_an_error(text):
    page = read(text)
    judge(page, [parse(GOLD)], [parse(OLD)])
    assert stated(parse(number("987654321")), page) == []


@pytest.mark.parametrize(
    "unit", ["1", "a", "not ", "30 ", "1,", "*a ", "thirty (", "one ", "thirty and ", "1-", "1x", "1/", "[1, ", "1. ",
    "Answer:\n", "<del>"]
)  # fmt: skip
def test_a_reply_that_repeats_itself_without_end_is_still_read(unit):
    """Models fall into loops; an expression that backtracks would take minutes here."""
    judge(read(unit * (6000 // len(unit))), [parse(GOLD)], [parse(OLD)])
