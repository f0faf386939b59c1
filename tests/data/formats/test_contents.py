import h5py
from frame_files import R2, save_hdf5

from pyg_nnp.data.formats.contents import columns_of


def test_what_is_in_other_files_is_not_even_looked_at(tmp_path):
    """The shape of a virtual data set may be that of another file, which would be opened for it."""
    save_hdf5(tmp_path / "other.h5", R=R2)
    path = save_hdf5(tmp_path / "a.h5", z=[6, 1])
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout(R2.shape, "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "R", R2.shape)
        file.create_virtual_dataset("R", layout)
    columns = columns_of(path)
    assert (columns["R"].shape, columns["R"].kind) == ((), "O")
    assert columns["z"].shape == (2,)
