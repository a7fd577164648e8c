# SPDX-License-Identifier: Apache-2.0
"""What client, server and worker say to each other: one frozen dataclass per message, without any encoding.

The words are py_trees' own: create, setup, tick, stop, shutdown. ``wire`` gives each message its bytes and refuses what
does not fit these types; ``docs/reference/protocol.md`` is the description for people.
"""

from __future__ import annotations

from scenario_execution_remote.protocol.messages.asides import (
    Alive,
    Answer,
    Ask,
    Feedback,
    Log,
    Output,
    Question,
    Registered,
    RegisteredKey,
    Write,
)
from scenario_execution_remote.protocol.messages.by_hand import (
    STORE_BUSY,
    ByHand,
    CloseStore,
    Fetch,
    ListFiles,
    Listing,
    OpenStore,
    RemoveFiles,
)
from scenario_execution_remote.protocol.messages.calls import (
    Actor,
    Create,
    Directories,
    EndScenario,
    Execute,
    ListActions,
    Plugin,
    Query,
    Setup,
    Shutdown,
    Stop,
    Tick,
    TickAll,
)
from scenario_execution_remote.protocol.messages.files import (
    Artifact,
    ArtifactEnd,
    Awaited,
    Chunk,
    Collected,
    Declined,
    Entry,
    FromFiles,
    Mount,
    Offer,
    OfFiles,
    Piece,
    Staged,
    Taken,
    Wanted,
)
from scenario_execution_remote.protocol.messages.front import (
    Ended,
    Enrol,
    Enrolled,
    Hello,
    Inspect,
    Inspected,
    NextKey,
    Notice,
    RefusalCode,
    Refused,
    Welcome,
)
from scenario_execution_remote.protocol.messages.inside import (
    Deed,
    EndSession,
    FileTerms,
    ForFront,
    FromFront,
    Permit,
    Started,
)
from scenario_execution_remote.protocol.messages.results import Actions, Fault, Result, Ticked

Call = Create | Setup | Tick | TickAll | Execute | Stop | Shutdown | Query | EndScenario | ListActions | Mount | ByHand
ToWorker = Call | OfFiles | FromFront | Answer
FromWorker = (
    Result | Ticked | Actions | Listing
    | Alive | Log | Output | Feedback | Ask | Write | RegisteredKey | Registered
    | FromFiles
)  # fmt: skip

__all__ = [
    "Alive", "Log", "Output", "Feedback", "Question", "Ask", "Answer", "Write", "RegisteredKey", "Registered",
    "ListFiles", "Listing", "Fetch", "RemoveFiles", "OpenStore", "CloseStore", "ByHand",
    "STORE_BUSY",
    "Plugin", "Actor", "Directories", "Create", "Setup", "Tick", "TickAll", "Execute", "Stop", "Shutdown", "Query",
    "ListActions", "EndScenario",
    "Mount", "Entry", "Offer", "Awaited", "Wanted", "Staged", "Artifact", "Chunk", "ArtifactEnd", "Taken", "Declined",
    "Collected", "Piece", "OfFiles", "FromFiles",
    "Hello", "NextKey", "Welcome", "Notice", "RefusalCode", "Refused", "Ended", "Enrol", "Enrolled", "Inspect",
    "Inspected",
    "Permit", "FileTerms", "EndSession", "Started", "Deed", "FromFront", "ForFront",
    "Fault", "Result", "Ticked", "Actions",
    "Call", "ToWorker", "FromWorker",
]  # fmt: skip
