import torch

from pyg_nnp.functional.composition import formula, formulas


def test_formulas_of_periodic_systems_do_not_depend_on_the_size_of_the_cell() -> None:
    assert formula([1, 8, 1]) == "H2O"
    assert formula([6, 1] * 6) == "C6H6"
    assert formula([6, 1] * 6, is_periodic=True) == "CH (periodic)"
    assert formula([11, 17], is_periodic=True) == formula([11] * 4 + [17] * 4, is_periodic=True) == "ClNa (periodic)"
    assert formula([11] * 3 + [17] * 4, is_periodic=True) == "Cl4Na3 (periodic)"


def test_formulas_of_many() -> None:
    N, Za = torch.tensor([2, 4, 4, 1, 2]), torch.tensor([29, 29, 29, 29, 29, 29, 29, 29, 29, 28, 28, 29, 29])
    pbc = torch.tensor([[0, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0]])
    assert formulas(N, Za, pbc) == {"Cu (periodic)", "Cu3Ni (periodic)", "Ni (periodic)", "Cu2"}
    assert formulas(N, Za) == {"Cu2", "Cu4", "Cu3Ni", "Ni"}
