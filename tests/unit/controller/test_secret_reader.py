"""Headers whose values are in Secrets: from the API server to the probes, and shown to nobody."""

import asyncio
import logging
from base64 import b64encode

import pytest
import yaml
from click.testing import CliRunner
from pydantic import ValidationError

from data.manifests import Raw, backend, frontend, health_check
from data.objects import key
from in_memory.operator import LocalOperator
from vpplb.cli.main import cli
from vpplb.controller.secret_reader import FIRST, PAUSE
from vpplb.kube.api_types import ApiError, ApiUnreachable, KubeError
from vpplb.model.check import HttpProbe
from vpplb.model.names import ObjectKind
from vpplb.resources.healthcheck import HealthCheckSpec

pytestmark = pytest.mark.looptime


def reference(of: str = "token", at: str = "value") -> Raw:
    return {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": of, "key": at}}}


def checking(*headers: Raw) -> Raw:
    plain = {"name": "X-A", "value": "1"}
    return health_check(type="HTTP", http={"headers": [*headers, plain]})


def put(operator: LocalOperator, value: str, name: str = "token") -> None:
    made = operator.server.add(ObjectKind.SECRET, key(name), {})
    made["data"] = {"value": b64encode(value.encode()).decode(), "other": "AA=="}


def sent(operator: LocalOperator) -> tuple[tuple[str, str], ...]:
    """Return the headers of the check that runs."""
    probe = operator.prober.running[key("a")].spec.probe
    assert isinstance(probe, HttpProbe)
    return probe.headers


def weight(operator: LocalOperator) -> object:
    backends = operator.status(ObjectKind.FRONTEND)["backends"]
    assert isinstance(backends, list)
    return backends[0]["effectiveWeight"]


async def serving(operator: LocalOperator) -> None:
    operator.read_secrets()
    put(operator, "one\n")
    operator.apply(
        checking(reference()), backend("a", healthCheckRef={"name": "check"}), frontend()
    )
    await operator.settle()
    operator.verdict("a", up=True)
    await operator.settle()


async def lost(operator: LocalOperator) -> None:
    """Expect that the backend serves as before and is not probed."""
    await asyncio.sleep(PAUSE + 1)
    assert operator.prober.running == {}
    assert operator.condition(ObjectKind.HEALTH_CHECK, "check", "Accepted") == (
        "False",
        "SecretNotFound",
    )
    assert operator.condition(ObjectKind.BACKEND, "a", "Accepted") == ("False", "SecretNotFound")
    assert weight(operator) == 100


async def test_a_value_comes_from_its_secret_in_its_place(operator: LocalOperator) -> None:
    await serving(operator)
    assert sent(operator) == (("Authorization", "one"), ("X-A", "1"))
    assert operator.condition(ObjectKind.HEALTH_CHECK, "check", "Accepted")[0] == "True"
    assert operator.condition(ObjectKind.BACKEND, "a", "Accepted")[0] == "True"


async def test_no_text_shows_a_value_out_of_a_secret(operator: LocalOperator) -> None:
    await serving(operator)
    put(operator, "s3cret")
    await asyncio.sleep(PAUSE + 1)
    assert sent(operator)[0] == ("Authorization", "s3cret")
    shown = operator.view.show_object(ObjectKind.HEALTH_CHECK, key("check"))
    kept = (operator.reconciler.store.secrets, operator.prober.started)
    assert "s3cret" not in repr((shown, kept, operator.server.requests, operator.events()))
    assert "secretKeyRef" in repr(shown)


async def test_a_secret_that_changes_starts_the_check_anew_with_its_verdict_held(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    put(operator, "two")
    await asyncio.sleep(PAUSE + 1)
    assert sent(operator)[0] == ("Authorization", "two")
    assert operator.prober.running[key("a")].held
    assert weight(operator) == 100


async def test_a_secret_that_goes_stops_probing_and_its_return_begins_it_again(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    del operator.server.objects[ObjectKind.SECRET, key("token")]
    await lost(operator)
    put(operator, "one")
    await asyncio.sleep(PAUSE + 1)
    assert sent(operator)[0] == ("Authorization", "one")
    assert operator.condition(ObjectKind.HEALTH_CHECK, "check", "Accepted")[0] == "True"


async def test_a_key_that_goes_or_is_no_header_stops_probing_too(operator: LocalOperator) -> None:
    await serving(operator)
    put(operator, "a\r\nX: b")
    await lost(operator)
    operator.server.objects[ObjectKind.SECRET, key("token")]["data"] = {}
    await lost(operator)


async def test_without_the_right_the_condition_says_what_to_do(operator: LocalOperator) -> None:
    await serving(operator)
    operator.server.refuse = lambda name: (
        ApiError(403, "Forbidden", "no") if name == key("token") else None
    )
    await lost(operator)
    told = str(operator.status(ObjectKind.HEALTH_CHECK, "check")["conditions"])
    assert "operator.headersFromSecrets" in told


@pytest.mark.parametrize("error", [ApiUnreachable("no answer"), ApiError(500), ApiError(429)])
async def test_without_an_answer_what_was_known_stays(
    operator: LocalOperator, error: KubeError
) -> None:
    await serving(operator)
    started = len(operator.prober.started)
    operator.server.refuse = lambda name: error if name == key("token") else None
    await asyncio.sleep(3 * PAUSE)
    assert len(operator.prober.started) == started
    assert operator.condition(ObjectKind.HEALTH_CHECK, "check", "Accepted")[0] == "True"


async def test_a_restart_reads_secrets_before_it_decides(operator: LocalOperator) -> None:
    await serving(operator)
    operator.server.requests.clear()
    again = await operator.restarted()
    assert {verb for verb, _, _ in operator.server.requests} == {"get"}
    assert sent(again)[0] == ("Authorization", "one")
    assert again.prober.running[key("a")].resume_up
    await again.stop()


async def test_a_restart_waits_for_an_answer_but_not_for_ever(operator: LocalOperator) -> None:
    await serving(operator)
    operator.server.refuse = lambda name: ApiError(500) if name == key("token") else None
    before = asyncio.get_running_loop().time()
    await operator.secrets.read_first()
    assert asyncio.get_running_loop().time() - before == pytest.approx(FIRST, abs=0.1)


async def test_only_what_is_named_is_asked_for_and_it_is_forgotten_with_its_check(
    operator: LocalOperator,
) -> None:
    await serving(operator)
    put(operator, "x", "unrelated")
    operator.server.requests.clear()
    await asyncio.sleep(PAUSE + 1)
    assert [name for _, name, _ in operator.server.requests] == [key("token")]
    assert set(operator.reconciler.store.secrets[key("token")].values) == {"value"}
    operator.apply(checking())
    operator.server.requests.clear()
    await asyncio.sleep(3 * PAUSE)
    assert [name for verb, name, _ in operator.server.requests if verb == "get"] == []
    assert operator.reconciler.store.secrets == {}


# --- values are shown to nobody ---------------------------------------------------------------

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


def with_headers(headers: object) -> Raw:
    return health_check(type="HTTP", http={"headers": headers})


def texts_of(operator: LocalOperator) -> str:
    """Gather what an operator tells of a check to anybody but the backend."""
    kinds = (
        (ObjectKind.HEALTH_CHECK, "check"),
        (ObjectKind.BACKEND, "a"),
        (ObjectKind.FRONTEND, "web"),
    )
    told: list[object] = [operator.status(kind, name) for kind, name in kinds]
    told += [operator.view.show_object(kind, key(name)) for kind, name in kinds]
    told += [operator.events(), operator.server.requests, list(operator.registry.render_pieces())]
    told += [operator.prober.started, operator.reconciler.store.health_checks]
    return repr(told)


@pytest.mark.parametrize("headers", [[VALUE], *WRONG])
async def test_an_operator_tells_nobody(
    operator: LocalOperator, caplog: pytest.LogCaptureFixture, headers: object
) -> None:
    caplog.set_level(logging.DEBUG)
    operator.apply(
        with_headers(headers),
        backend("a", "10.0.0.1", healthCheckRef={"name": "check"}),
        frontend(),
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
    result = CliRunner().invoke(cli, ["check", "-"], input=yaml.safe_dump(with_headers(headers)))
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
