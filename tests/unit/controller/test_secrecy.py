"""Values of headers go to the backends and nowhere else."""

import logging

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from support.manifests import Raw, backend, frontend, health_check
from support.objects import key
from support.operator_bench import OperatorBench
from vpplb.cli.main import cli
from vpplb.kube.kinds import BACKEND, FRONTEND, HEALTH_CHECK
from vpplb.resources.healthcheck import HealthCheckSpec

pytestmark = pytest.mark.looptime

MARK = "s3cret"
VALUE = {"name": "Authorization", "value": f"Bearer {MARK}"}
WRONG: list[object] = [
    [{"name": "Authorization", "value": f"Bearer {MARK}\n"}],
    [{"name": "Authorization", "value": [MARK]}],
    [{"name": {"Authorization": MARK}}],
    [{"name": "Authorization", "vaule": MARK}],
    [f"Authorization: {MARK}"],
    [[MARK]],
    {"Authorization": MARK},
    MARK,
    [VALUE] * 33,
]


def checking(headers: object) -> Raw:
    return health_check(type="HTTP", http={"headers": headers})


def texts_of(operator: OperatorBench) -> str:
    """Gather what an operator tells of a check to anybody but the backend."""
    kinds = ((HEALTH_CHECK, "check"), (BACKEND, "a"), (FRONTEND, "web"))
    told: list[object] = [operator.status(kind, name) for kind, name in kinds]
    told += [operator.board.shown(kind.plural, key(name)) for kind, name in kinds]
    told += [operator.events(), operator.server.requests, list(operator.registry.pieces())]
    told += [operator.prober.started, operator.reconciler.store.health_checks]
    return repr(told)


@pytest.mark.parametrize("headers", [[VALUE], *WRONG])
async def test_an_operator_tells_nobody(
    operator: OperatorBench, caplog: pytest.LogCaptureFixture, headers: object
) -> None:
    caplog.set_level(logging.DEBUG)
    operator.apply(
        checking(headers), backend("a", "10.0.0.1", healthCheckRef={"name": "check"}), frontend()
    )
    await operator.settle()
    if operator.prober.started:
        operator.verdict("a", up=False)
        await operator.settle()
    told = texts_of(operator)
    assert ("'Invalid'" in told) is (headers != [VALUE])
    assert MARK not in told + caplog.text


@pytest.mark.parametrize("headers", [[VALUE], *WRONG, [{"name": f"A: {MARK}", "value": ""}]])
def test_the_findings_of_check_quote_none(headers: object) -> None:
    result = CliRunner().invoke(cli, ["check", "-"], input=yaml.safe_dump(checking(headers)))
    assert result.exit_code == (0 if headers == [VALUE] else 2)
    assert MARK not in result.output


@pytest.mark.parametrize("value", ["!", "!!int ", "!!binary ", "*", "&a ", "!x!", "%", "|", "'"])
def test_nor_do_findings_of_what_is_not_yaml(value: str) -> None:
    text = f"kind: HealthCheck\nspec: {{http: {{headers: [{{value: {value}{MARK}}}]}}}}\n"
    result = CliRunner().invoke(cli, ["check", "-"], input=text)
    assert result.exit_code > 0
    assert MARK not in result.output


def test_an_error_of_validation_that_is_logged_quotes_no_input() -> None:
    with pytest.raises(ValidationError) as error:
        HealthCheckSpec.model_validate({"type": "HTTP", "http": {"headers": [MARK]}})
    assert MARK not in str(error.value)
    spec = HealthCheckSpec.model_validate({"type": "HTTP", "http": {"headers": [VALUE]}})
    assert MARK not in repr(spec)
