"""Where to compute: by name, with as many threads as pay."""

import pytest
import torch

from twofold.core.device import SMALL_WORK, autocast, choose_device, choose_threads, threads
from twofold.errors import SettingError


def test_auto_is_an_accelerator_or_the_cpu_and_names_are_taken():
    assert choose_device("cpu") == torch.device("cpu")
    auto = choose_device()
    assert auto.type == ("cpu" if torch.accelerator.current_accelerator(check_available=True) is None else auto.type)
    torch.empty(1, device=auto)


@pytest.mark.parametrize("name", ["abacus", "cuda:77", "", "cpu:x", "gpu"])
def test_a_device_that_is_not_here_is_refused_with_those_that_may_be(name):
    with pytest.raises(SettingError, match="Allowed: auto, cpu.*device='auto'"):
        choose_device(name)


def test_small_work_gets_one_thread():
    torch.set_num_threads(2)
    assert choose_threads(1000, 32) == 1
    assert choose_threads(int(SMALL_WORK), 32) == 2


def test_threads_are_put_back_also_after_an_error():
    torch.set_num_threads(1)
    with pytest.raises(KeyError), threads(2):
        assert torch.get_num_threads() == 2
        raise KeyError
    assert torch.get_num_threads() == 1


def test_on_a_cpu_precision_is_left_alone():
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
