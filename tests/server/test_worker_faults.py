# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import py_trees
import pytest
from scenario_execution.actions.base_action import ActionError, BaseAction

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker.faults import fault_from


class OddError(Exception):
    """Whose text is code that fails."""

    def __str__(self) -> str:
        raise self


class Behaving(py_trees.behaviour.Behaviour):
    """Raises where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__("behaving")
        self.where = where

    def _maybe(self, here: str) -> None:
        if here == self.where:
            raise ValueError(here)

    def initialise(self) -> None:
        self._maybe("initialise")

    def update(self) -> py_trees.common.Status:
        self._maybe("update")
        return py_trees.common.Status.SUCCESS

    def terminate(self, new_status: py_trees.common.Status) -> None:
        self._maybe("terminate")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are among them
        return caught


def error_of(action: Any) -> BaseException:
    try:
        for _ in action.tick():
            pass
    except ValueError as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "error",
    [ValueError("bad \ud800"), KeyError("k"), SystemExit(3), KeyboardInterrupt(), OSError(2, "gone"), RuntimeError()],
    ids=repr,
)
def test_a_fault_says_what_the_exception_said(error: BaseException) -> None:
    fault = fault_from(raised(error), "setup")
    assert (fault.phase, fault.type_name, fault.module) == ("setup", type(error).__name__, "builtins")
    assert (fault.text, fault.arguments) == (str(error), list(error.args))
    assert fault.traceback.startswith("Traceback (most recent call last):")
    assert "raise error" in fault.traceback


def test_a_nested_class_is_named_as_a_traceback_names_it() -> None:
    class InnerError(Exception):
        pass

    assert fault_from(InnerError(), "setup").type_name.endswith("<locals>.InnerError")


@pytest.mark.parametrize("arguments", [(object(),), (["list"],), ("x", {})], ids=["object", "list", "dict"])
def test_arguments_that_are_not_plain_are_left_out(arguments: tuple[Any, ...]) -> None:
    assert fault_from(ValueError(*arguments), "setup").arguments is None


def test_the_message_of_the_engines_own_errors_travels_without_the_place() -> None:
    action = SimpleNamespace(_model=None)
    fault = fault_from(ActionError("cannot do it", action=action), "execute")
    assert fault.message == "cannot do it"
    assert fault.type_name == "ActionError"


def test_an_exception_that_cannot_be_told_as_text_is_told_without() -> None:
    fault = fault_from(raised(OddError()), "update")
    assert fault.text == "<exception str() failed>"
    assert "OddError" in fault.traceback


def test_a_text_without_end_is_cut_so_that_the_fault_can_travel() -> None:
    fault = fault_from(ValueError("x" * 50_000_000), "update")
    assert "(50000000 characters)" in fault.text
    assert len(fault.text) < 101_000
    assert len(fault.traceback) < 101_000
    assert fault.arguments is None


def test_arguments_that_are_long_all_together_are_left_out() -> None:
    error = SyntaxError("x" * 40_000, ("y" * 40_000, 1, 2, "z" * 40_000))
    assert fault_from(error, "update").arguments is None


def test_endless_recursion_travels() -> None:
    def endless() -> None:
        endless()

    try:
        endless()
    except RecursionError as error:
        fault = fault_from(error, "update")
    assert "RecursionError" in fault.traceback


@pytest.mark.parametrize("where", ["initialise", "update", "terminate"])
def test_the_phase_of_a_tick_is_the_method_that_raised(where: str) -> None:
    phases = {"initialise": "execute", "update": "update", "terminate": "terminate"}
    assert fault_from(error_of(Behaving(where)), "tick").phase == phases[where]


def test_the_phase_of_a_tick_is_that_of_the_node_that_raised_and_not_of_what_it_called() -> None:
    class Outer(Behaving):
        def update(self) -> py_trees.common.Status:
            Behaving("terminate").terminate(py_trees.common.Status.INVALID)
            return py_trees.common.Status.SUCCESS

    assert fault_from(error_of(Outer("")), "tick").phase == "update"


def test_what_was_raised_before_any_method_was_called_counts_as_update() -> None:
    assert fault_from(raised(ValueError()), "tick").phase == "update"


def test_every_fault_has_a_form_on_the_wire() -> None:
    fault = fault_from(raised(OSError(10**30, "\udcff", "/x")), "setup")
    result = messages.Result(call=1, status=None, stopped=False, feedback="", fault=fault, value=None, nodes=[])
    assert wire.decode(wire.encode(result), wire.FROM_WORKER) == [result]
    assert issubclass(BaseAction, py_trees.behaviour.Behaviour)
