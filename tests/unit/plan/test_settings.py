from vpplb.model.vip import LbConf
from vpplb.plan.ops import SetConf
from vpplb.plan.settings import DesiredSettings, diff_settings


def test_conf_is_sent_whole_and_only_where_it_differs() -> None:
    now = LbConf()
    assert diff_settings(DesiredSettings(), now) is None
    assert diff_settings(DesiredSettings(flow_timeout=40), now) is None
    assert diff_settings(DesiredSettings(flow_timeout=60), now) == SetConf(
        conf=LbConf(flow_timeout=60)
    )
