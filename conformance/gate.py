"""The cases of Autobahn|Testsuite 25.10.1 by name, and the gate that judges a report.

wstest always exits with 0 and reports only the cases that ran, which are none when the server is down. So the gate looks
up each expected case by its id and never relies on what the report contains.
"""

import json


def _ids(sections):
    """{"1.1": 8, "2": 11} -> the ids 1.1.1 … 1.1.8, 2.1 … 2.11."""
    return [f"{prefix}.{n}" for prefix, count in sections.items() for n in range(1, count + 1)]


# The subsections and their numbers of cases. They follow no rule: 7.2 does not exist, and 2.x has no third level.
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

# The selections by name.
NAMED = {
    "core": [case for n in (1, 2, 3, 4, 5, 6, 7, 10) for case in SECTIONS[n]],
    "limits": SECTIONS[9],
    "all301": [case for n in (1, 2, 3, 4, 5, 6, 7, 9, 10) for case in SECTIONS[n]],
    "deflate-smoke": [case for n in (12, 13) for case in SECTIONS[n] if case.split(".")[2] in ("1", "5", "11")],
    "deflate": SECTIONS[12] + SECTIONS[13],
    "517": ALL,
}

# The suite itself calls these informational: it closes or drops the connection during a transfer, and the peer may react
# in several ways.
INFORMATIONAL = frozenset({"7.1.6", "7.13.1", "7.13.2"})


def section_of(case):
    return int(case.split(".")[0])


def select(text):
    """Returns the ids that a list such as `core,1.*,6.4,7.9.3` selects, in the suite's order.

    A pattern stands for the ids that begin with its parts: `1.*` and `1` are the 16 cases of section 1, and never
    10.1 or 13.1.1. A pattern that matches nothing is an error.
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
    """A reason why a report does not pass."""

    def __init__(self, case, why, report=None):
        self.case = case
        self.why = why
        self.report = report

    def __repr__(self):
        return f"{self.case}: {self.why}" + (f" ({self.report})" if self.report else "")


class Verdict:
    """The verdict on a report: the number of cases with each behaviour, and every failure."""

    COLUMNS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED", "other", "missing", "bad close")

    def __init__(self, expected):
        self.expected = expected
        self.counts = dict.fromkeys(self.COLUMNS, 0)
        self.failures = []

    @property
    def passed(self):
        return not self.failures


def judge(index, agent, expected):
    """Judges the contents of index.json: {agent: {case: {behavior, behaviorClose, reportfile, …}}}."""
    verdict = Verdict(len(expected))

    def fail(case, why, report=None):
        verdict.failures.append(Failure(case, why, report))

    if not expected:
        fail("-", "no cases were selected")
    if not isinstance(index, dict):
        fail("-", "the index is not an object")
        index = {}
    for other in sorted(set(index) - {agent}):
        fail("-", f"the report contains another agent, {other!r}")
    results = index.get(agent)
    if not isinstance(results, dict) or not results:
        fail("-", f"the report contains no results for the agent {agent!r}")
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
        fail(case, "was not selected")
    return verdict


def judge_file(path, agent, expected):
    """Judges the index.json at `path`. A file that is missing or not JSON counts as an empty index."""
    try:
        with open(path, encoding="utf-8") as file:
            index = json.load(file)
    except (OSError, ValueError) as error:
        verdict = judge({}, agent, expected)
        verdict.failures.insert(0, Failure("-", f"no usable index: {error}"))
        return verdict
    return judge(index, agent, expected)
