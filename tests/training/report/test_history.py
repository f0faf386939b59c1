from pathlib import Path

from pyg_nnp.training.report.history import Course, read_course


def test_times_are_read_from_the_logs(tmp_path: Path) -> None:
    def write(day: int, *lines: str) -> None:
        text = "\n".join(f"2026-01-0{day} {line}" for line in lines)
        (tmp_path / f"2026-01-0{day}_00-00-00.log").write_text(f"{text}\nnot a line of the log\n")

    begin = "INFO     FF01: SchNet with 10 parameters, float32, on cpu."
    write(1, f"10:00:00,000  {begin}", "10:00:09,000  DEBUG    epoch 1  learning_rate 1")
    write(
        2,
        "10:00:00,000  DEBUG    Versions: python 3",
        "10:00:00,000  WARNING  a.npz: 'F' (Fa) looks odd.",
        f"10:00:00,000  {begin}",
        "10:00:04,000  DEBUG    epoch 1  learning_rate 1",
        "10:00:05,000  DEBUG    epoch 2  learning_rate 1",
        "10:00:05,000  INFO     FF02: SchNet with 10 parameters, float32, on cuda:0.",
        "10:00:35,000  DEBUG    epoch 1  learning_rate 1",
    )
    write(3, f"10:00:00,000  {begin}", "10:00:02,500  DEBUG    epoch 3  learning_rate 1")
    assert read_course(tmp_path, "FF01") == Course(2.5, 7.5, None, "cpu", ())
    assert read_course(tmp_path, "FF02") == Course(30.0, 30.0, "python 3", "cuda:0", ("a.npz: 'F' (Fa) looks odd.",))
    assert read_course(tmp_path / "nowhere", "FF01") == Course()
