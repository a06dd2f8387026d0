from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.telemetry.operator_state import ROLES, STANDALONE


def test_the_roles_that_are_described_are_those_of_the_election_and_alone() -> None:
    assert sorted(ROLES) == sorted([*LeaderRole, STANDALONE])
