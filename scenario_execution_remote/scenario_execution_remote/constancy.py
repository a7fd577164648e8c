# SPDX-License-Identifier: Apache-2.0
"""Whether what an action is given in the scenario is the same at whatever moment it is looked at. No I/O."""

from __future__ import annotations

from scenario_execution.model import types as model

# What is written in the scenario, or leads to it. Not among them: variables, which actions write, and the methods of
# Python that a scenario may call, as they may look at a clock or at random numbers.
_CONSTANT = (
    model.BehaviorInvocation,
    model.ActionDeclaration,
    model.StructDeclaration,
    model.ActorDeclaration,
    model.EnumDeclaration,
    model.EnumMemberDeclaration,
    model.PhysicalTypeDeclaration,
    model.SIUnitSpecifier,
    model.SIBaseExponent,
    model.UnitDeclaration,
    model.ParameterDeclaration,
    model.GlobalParameterDeclaration,
    model.KeepConstraintDeclaration,
    model.Inheritance,
    model.PositionalArgument,
    model.NamedArgument,
    model.IdentifierReference,
    model.Identifier,
    model.EnumValueReference,
    model.ListExpression,
    model.FunctionApplicationExpression,  # of a struct; the declaration of a method is none of these
    model.BinaryExpression,
    model.RelationExpression,
    model.LogicalExpression,
    model.PhysicalLiteral,
    model.IntegerLiteral,
    model.FloatLiteral,
    model.BoolLiteral,
    model.StringLiteral,
    model.Type,
)
_ABOVE = "_ModelElement__parent"  # where an element stands says nothing about what it is


def is_constant(element: model.ModelElement) -> bool:
    """Whether nothing that this element of the engine's model consists of, or refers to, can change while a scenario
    runs. What is not known is said to be no constant."""
    seen: set[int] = set()
    waiting: list[object] = [element]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, model.ModelElement) and id(one) not in seen:
            if not isinstance(one, _CONSTANT):
                return False
            seen.add(id(one))
            waiting += [value for name, value in vars(one).items() if name != _ABOVE]
    return True
