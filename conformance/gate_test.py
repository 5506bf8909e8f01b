"""Tests that the gate misses no kind of failure. It needs no wstest: python3 conformance/gate_test.py"""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import gate

AGENT = "sockeye-test"


def good(cases):
    """Returns a report in which every case passes."""
    results = {}
    for case in cases:
        value = "INFORMATIONAL" if case in gate.INFORMATIONAL else "OK"
        results[case] = {
            "behavior": value,
            "behaviorClose": value,
            "duration": 1,
            "remoteCloseCode": 1000,
            "reportfile": f"{AGENT}_case_{case.replace('.', '_')}.json",
        }
    return {AGENT: results}


class Cases(unittest.TestCase):
    def test_each_section_has_the_right_number_of_cases(self):
        self.assertEqual({n: len(ids) for n, ids in gate.SECTIONS.items()}, gate.EXPECTED_COUNTS)
        self.assertEqual(len(gate.ALL), 517)
        self.assertEqual(len(set(gate.ALL)), 517)

    def test_named_selections_have_the_documented_sizes(self):
        sizes = {"core": 247, "limits": 54, "all301": 301, "deflate-smoke": 36, "deflate": 216, "517": 517}
        self.assertEqual({name: len(gate.select(name)) for name in gate.NAMED}, sizes)

    def test_a_pattern_matches_whole_parts_of_an_id(self):
        self.assertEqual(len(gate.select("1.*")), 16)
        self.assertEqual(len(gate.select("1")), 16)
        self.assertEqual(gate.select("7.1.6"), ["7.1.6"])
        self.assertEqual(gate.select("5.1"), ["5.1"])
        self.assertEqual(gate.select("6.4"), ["6.4.1", "6.4.2", "6.4.3", "6.4.4"])

    def test_a_list_keeps_the_order_of_the_suite_without_repeats(self):
        self.assertEqual(gate.select("7.1.6,6.4.*,6.4.3"), ["6.4.1", "6.4.2", "6.4.3", "6.4.4", "7.1.6"])

    def test_unknown_cases_are_an_error(self):
        for text in ("8.*", "7.2.1", "", "core,", "11", "all"):
            with self.subTest(text), self.assertRaises(ValueError):
                gate.select(text)


class Gate(unittest.TestCase):
    def setUp(self):
        self.cases = gate.NAMED["all301"]
        self.index = good(self.cases)

    def judge(self):
        return gate.judge(self.index, AGENT, self.cases)

    def assert_fails_for(self, *cases):
        verdict = self.judge()
        self.assertFalse(verdict.passed)
        self.assertEqual([failure.case for failure in verdict.failures], list(cases))
        return verdict

    def test_a_good_report_passes(self):
        verdict = self.judge()
        self.assertTrue(verdict.passed, verdict.failures)
        self.assertEqual(verdict.counts["OK"], 298)
        self.assertEqual(verdict.counts["INFORMATIONAL"], 3)

    def test_ok_instead_of_informational_passes(self):
        self.index[AGENT]["7.13.1"].update(behavior="OK", behaviorClose="OK")
        self.assertTrue(self.judge().passed)

    def test_a_missing_case_fails(self):
        del self.index[AGENT]["6.22.34"]
        verdict = self.assert_fails_for("6.22.34")
        self.assertEqual(verdict.counts["missing"], 1)

    def test_each_single_missing_case_fails(self):
        for case in self.cases:
            with self.subTest(case):
                results = dict(self.index[AGENT])
                del results[case]
                self.assertFalse(gate.judge({AGENT: results}, AGENT, self.cases).passed)

    def test_each_bad_behaviour_fails(self):
        for value in ("NON-STRICT", "UNIMPLEMENTED", "FAILED", "INFORMATIONAL", "ok", "", None):
            with self.subTest(value):
                self.index = good(self.cases)
                self.index[AGENT]["2.10"]["behavior"] = value
                verdict = self.assert_fails_for("2.10")
                self.assertEqual(verdict.failures[0].report, f"{AGENT}_case_2_10.json")

    def test_each_bad_close_fails(self):
        for value in ("UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "INFORMATIONAL", "NON-STRICT", None):
            with self.subTest(value):
                self.index = good(self.cases)
                self.index[AGENT]["7.7.3"]["behaviorClose"] = value
                verdict = self.assert_fails_for("7.7.3")
                self.assertEqual(verdict.counts["bad close"], 1)

    def test_bad_results_of_the_informational_cases_fail(self):
        for case in sorted(gate.INFORMATIONAL):
            for key, value in (("behavior", "NON-STRICT"), ("behavior", "FAILED"), ("behaviorClose", "UNCLEAN")):
                with self.subTest(case=case, value=value):
                    self.index = good(self.cases)
                    self.index[AGENT][case][key] = value
                    self.assert_fails_for(case)

    def test_a_result_without_its_keys_fails(self):
        self.index[AGENT]["1.1.1"] = {}
        self.assert_fails_for("1.1.1")

    def test_an_additional_case_fails(self):
        self.index[AGENT]["12.1.1"] = dict(self.index[AGENT]["1.1.1"])
        self.assert_fails_for("12.1.1")

    def test_an_empty_index_fails(self):
        for index in ({}, {AGENT: {}}, {AGENT: None}, [], None):
            with self.subTest(index):
                self.index = index
                verdict = self.judge()
                self.assertFalse(verdict.passed)
                self.assertEqual(verdict.counts["missing"], 301)

    def test_results_of_another_agent_fail(self):
        self.index["another-agent"] = self.index.pop(AGENT)
        self.assertFalse(self.judge().passed)
        self.assertEqual(self.judge().counts["missing"], 301)

    def test_an_empty_selection_fails(self):
        self.assertFalse(gate.judge({AGENT: {}}, AGENT, []).passed)


class Files(unittest.TestCase):
    def test_only_a_good_file_passes(self):
        cases = gate.select("1.*")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index.json")
            self.assertFalse(gate.judge_file(path, AGENT, cases).passed)
            for text in ("", "{", "{}", "[]", "null"):
                with self.subTest(text):
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                    self.assertFalse(gate.judge_file(path, AGENT, cases).passed)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(good(cases), file)
            self.assertTrue(gate.judge_file(path, AGENT, cases).passed)


if __name__ == "__main__":
    unittest.main()
