"""What Ctrl-C and its kin do to cai itself, before, during and after the clean-up."""

import os
import signal
import sys

import pytest

from cai import __main__, runner

KIN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of the tests' own process, as they were."""
    before = {number: signal.getsignal(number) for number in KIN}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", KIN)
def test_a_signal_becomes_an_entry_and_no_later_one_is_heard(number):
    with runner._interrupts() as seen:
        assert seen == []
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert seen == [number, number]
    assert {signal.getsignal(kin) for kin in KIN} == {signal.SIG_IGN}


def test_without_one_everything_is_as_before(handlers):
    with runner._interrupts() as seen:
        pass
    assert seen == []
    assert {number: signal.getsignal(number) for number in KIN} == handlers


def test_ctrl_c_while_cai_itself_still_loads_is_no_traceback(monkeypatch, capsys):
    class Loading:
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "cai.cli", Loading())
    monkeypatch.setattr(__main__, "_leave_the_working_directory", lambda: None)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""
