"""The cases of Autobahn|Testsuite 25.10.1, by name, and the gate that judges a report.

wstest exits with 0 whatever happened, and writes a report of whatever ran: of nothing at all when the server
was down. So the gate never asks what the report holds; it asks for each expected case by its id.
"""

import json


def _ids(sections):
    """{"1.1": 8, "2": 11} -> the ids 1.1.1 … 1.1.8, 2.1 … 2.11."""
    return [f"{prefix}.{n}" for prefix, count in sections.items() for n in range(1, count + 1)]


# Subsections with their numbers of cases. They do not follow a rule (7.2 does not exist, 2.x has no third
# level), hence the list.
SECTIONS = {
    1: _ids({"1.1": 8, "1.2": 8}),
    2: _ids({"2": 11}),
    3: _ids({"3": 7}),
    4: _ids({"4.1": 5, "4.2": 5}),
    5: _ids({"5": 20}),
    6: _ids(
        {
            "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4,
            "6.10": 3, "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5,
            "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7,
        }
    ),
    7: _ids({"7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2}),
    9: _ids({"9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6}),
    10: _ids({"10.1": 1}),
    12: _ids({f"12.{n}": 18 for n in range(1, 6)}),
    13: _ids({f"13.{n}": 18 for n in range(1, 8)}),
}  # fmt: skip

EXPECTED_COUNTS = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}

ALL = [case for section in SECTIONS.values() for case in section]

# Selections by name.
NAMED = {
    "core": [case for n in (1, 2, 3, 4, 5, 6, 7, 10) for case in SECTIONS[n]],
    "limits": SECTIONS[9],
    "all301": [case for n in (1, 2, 3, 4, 5, 6, 7, 9, 10) for case in SECTIONS[n]],
    "deflate-smoke": [case for n in (12, 13) for case in SECTIONS[n] if case.split(".")[2] in ("1", "5", "11")],
    "deflate": SECTIONS[12] + SECTIONS[13],
    "517": ALL,
}

# The testsuite itself calls these informational: it closes or drops while data is under way, and what the
# peer then does is not prescribed.
INFORMATIONAL = frozenset({"7.1.6", "7.13.1", "7.13.2"})


def section_of(case):
    return int(case.split(".")[0])


def select(text):
    """`core`, `1.*`, `6.4`, `7.9.3`, and comma-separated lists of these -> ids, in the suite's order.

    A pattern stands for the ids that begin with its parts: `1.*` and `1` are the 16 cases of section 1, never
    10.1 or 13.1.1. One that matches nothing is an error.
    """
    chosen = set()
    for item in (part.strip() for part in text.split(",")):
        if item in NAMED:
            chosen.update(NAMED[item])
            continue
        parts = item.removesuffix("*").rstrip(".").split(".")
        matches = [case for case in ALL if case.split(".")[: len(parts)] == parts]
        if not matches:
            raise ValueError(f"no such cases: {item!r} (names: {', '.join(NAMED)}; or ids such as 1.*, 6.4, 7.9.3)")
        chosen.update(matches)
    return [case for case in ALL if case in chosen]


class Failure:
    """One reason why a report does not pass."""

    def __init__(self, case, why, report=None):
        self.case = case
        self.why = why
        self.report = report

    def __repr__(self):
        return f"{self.case}: {self.why}" + (f" ({self.report})" if self.report else "")


class Verdict:
    """The outcome of one report: how many cases had which behaviour, and every failure."""

    COLUMNS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED", "other", "missing", "bad close")

    def __init__(self, expected):
        self.expected = expected
        self.counts = dict.fromkeys(self.COLUMNS, 0)
        self.failures = []

    @property
    def passed(self):
        return not self.failures


def judge(index, agent, expected):
    """`index` is what index.json holds: {agent: {case: {behavior, behaviorClose, reportfile, …}}}."""
    verdict = Verdict(len(expected))

    def fail(case, why, report=None):
        verdict.failures.append(Failure(case, why, report))

    if not expected:
        fail("-", "no cases were asked for")
    if not isinstance(index, dict):
        fail("-", "the index is not an object")
        index = {}
    for other in sorted(set(index) - {agent}):
        fail("-", f"the report is also about an agent {other!r}")
    results = index.get(agent)
    if not isinstance(results, dict) or not results:
        fail("-", f"the report holds no results for the agent {agent!r}")
        results = {}

    for case in expected:
        result = results.get(case)
        if not isinstance(result, dict):
            verdict.counts["missing"] += 1
            fail(case, "missing")
            continue
        behaviour, closing = result.get("behavior"), result.get("behaviorClose")
        verdict.counts[behaviour if behaviour in verdict.counts else "other"] += 1
        accepted = {"OK", "INFORMATIONAL"} if case in INFORMATIONAL else {"OK"}
        why = []
        if behaviour not in accepted:
            why.append(f"behaviour {behaviour}")
        if closing not in accepted:
            verdict.counts["bad close"] += 1
            why.append(f"close {closing}")
        if why:
            fail(case, ", ".join(why), result.get("reportfile"))

    for case in sorted(set(results) - set(expected)):
        fail(case, "was not asked for")
    return verdict


def judge_file(path, agent, expected):
    """As `judge`, for the index.json at `path`; one that is absent or not JSON is an empty index."""
    try:
        with open(path, encoding="utf-8") as file:
            index = json.load(file)
    except (OSError, ValueError) as error:
        verdict = judge({}, agent, expected)
        verdict.failures.insert(0, Failure("-", f"no usable index: {error}"))
        return verdict
    return judge(index, agent, expected)
