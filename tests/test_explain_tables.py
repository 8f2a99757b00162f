# SPDX-FileCopyrightText: the dtdcore authors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables on the command line: which columns a network takes, what is said, what fails.

The network is f = age + 10 fare + 100 sibs + 1000 port, so that R by LRP-0 are its summands.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dtdcore as dtd
from dtdcore import cli
from dtdcore.jobs import OptionError
from dtdcore.jobs.columns import choose_columns
from dtdcore.jobs.tables import read_table

FEATURES = ("age", "fare", "sibs", "port")
FACTORS = np.array([1.0, 10.0, 100.0, 1000.0])


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with plain.npz, which knows no names, and named.npz, which does."""
    monkeypatch.chdir(tmp_path)
    network = dtd.Network([dtd.Dense(FACTORS[:, None].astype(np.float32))], input_shape=(4,))
    network.save("plain.npz")
    network.feature_names = FEATURES
    network.save("named.npz")
    return tmp_path


def run(*arguments, model="plain.npz", command="explain"):
    options = ["--force", "--no-pictures", "--method", "lrp:epsilon"]
    return cli.main([command, model, "t.csv", *map(str, arguments), *options])


def relevance():
    with np.load("heatmaps/heatmaps.npz", allow_pickle=False) as file:
        return file["relevance"]


def explained(text, *arguments, model="plain.npz", encoding="utf-8"):
    """R of the rows of a table, where all is well."""
    Path("t.csv").write_bytes(text.encode(encoding))
    assert run(*arguments, model=model) == 0
    return relevance().round(2).tolist()


def refused(text, capsys, *arguments, model="plain.npz"):
    """The one line that says what is wrong."""
    Path("t.csv").write_text(text)
    capsys.readouterr()
    assert run(*arguments, model=model) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and not Path("heatmaps").exists()
    assert printed.err.startswith("dtdcore: error: t.csv") and printed.err.count("\n") == 1
    return printed.err


# ------------------------------------------------------------------- names that the network knows


def test_columns_are_matched_by_name(capsys):
    text = "PassengerId,port,age,name,fare,sibs\n7,2,22,Ann,3,1\n"
    assert explained(text, model="named.npz") == [[22, 30, 100, 2000]]
    said = "columns: age, fare, sibs, port; left out: PassengerId, name\n"
    assert said in capsys.readouterr().err
    assert explained(text, "--columns", "fare,port,sibs,age", model="named.npz") == [
        [22, 30, 100, 2000]  # names on both sides are aligned
    ]


def test_other_names_are_taken_in_the_order_given(capsys):
    text = "AGE,FARE,SIBS,PORT\n22,3,1,2\n"
    columns = ["--columns", "AGE,FARE,SIBS,PORT"]
    assert explained(text, *columns, model="named.npz") == [[22, 30, 100, 2000]]
    Path("heatmaps/heatmaps.npz").unlink()
    Path("heatmaps").rmdir()
    error = refused(text, capsys, model="named.npz")
    assert "no column 'age', 'fare', 'sibs', 'port'" in error and "--columns" in error


def test_a_known_name_in_a_wrong_place(capsys):
    text = "years,age,sibs,port\n1,22,1,2\n"
    Path("t.csv").write_text(text)
    assert run("--columns", "years,age,sibs,port", model="named.npz") == 2
    assert "--columns gives 'age' for the network's 'fare'" in capsys.readouterr().err


def test_what_a_named_column_must_be(capsys):
    error = refused("age,fare,sibs,port\n1,2,3,S\n4,5,6,C\n", capsys, model="named.npz")
    assert "text is in port" in error
    error = refused("age,fare,sibs,age,port\n1,2,3,4,5\n", capsys, model="named.npz")
    assert "more than one column 'age', the numbers 0, 3" in error


def test_networks_with_an_input_for_each_column(capsys):
    """As exporters of pipelines on tables write them."""
    layers = [
        ("joined", dtd.Concat(), ["age", "fare", "sibs", "port"]),
        ("dense", dtd.Dense(FACTORS[:, None].astype(np.float32))),
        ("relu", dtd.ReLU()),
    ]
    shapes = {"port": (1,), "age": (1,), "fare": (1,), "sibs": (1,)}
    network = dtd.Network(layers, shapes)
    network.save("columns.npz")
    text = "id,sibs,port,fare,age\n9,1,2,3,22\n8,2,0,4,30\n"
    Path("t.csv").write_text(text)
    x = {"age": [22, 30], "fare": [3, 4], "sibs": [1, 2], "port": [2, 0]}
    x = {name: np.array(values, np.float32)[:, None] for name, values in x.items()}
    for options, domain in (([], dtd.Reals()), (["--domain", "0,50"], dtd.Box(0, 50))):
        arguments = ["explain", "columns.npz", "t.csv", "--force", "--no-pictures", *options]
        assert cli.main(arguments) == 0
        assert "columns: port, age, fare, sibs; left out: id" in capsys.readouterr().err
        theirs = dtd.DeepTaylor(network, domain)(x).relevance
        expected = np.concatenate([theirs[name] for name in shapes], axis=1)
        np.testing.assert_allclose(relevance(), expected, rtol=1e-6)


# ------------------------------------------------------------------- networks that know no names


def test_text_is_never_left_out_unseen(capsys):
    error = refused("PassengerId,age,fare,sibs,port\n7,22,3,1,S\n", capsys)
    assert "text is in port" in error and "--columns PassengerId,age,..." in error
    assert "numbers are in PassengerId, age, fare, sibs (4)" in error
    refused("name,age,fare,sibs,port\nAnn,22,3,1,2\n", capsys)  # though four numbers are left


@pytest.mark.parametrize("more", [["label"], ["label", "id"], []])
def test_too_many_or_too_few_numbers(capsys, more):
    names = ["age", "fare", "sibs", *(["port"] if more else []), *more]
    error = refused(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n", capsys)
    assert f"({len(names)})" in error and "the network takes 4 numbers" in error
    assert "--columns age,fare,..." in error


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("age,fare,sibs,port", [22, 30, 100, 2000]),
        ("port,sibs,fare,age", [2, 10, 300, 22000]),
        ("1:5", [22, 30, 100, 2000]),
        ("1:-1", [22, 30, 100, 2000]),
        ("4,3,2,1", [2, 10, 300, 22000]),
        ("port,[af]*,sibs", [2, 220, 300, 1000]),
        ("[!n]*[!d],age", [3, 10, 200, 22000]),
        ("age,?are,2:5", [22, 30, 100, 2000]),
    ],
)
def test_the_user_chooses(columns, expected, capsys):
    text = "id,age,fare,sibs,port,name\n7,22,3,1,2,Ann\n"
    assert explained(text, "--columns", columns) == [expected]
    said = capsys.readouterr().err
    assert "columns: " in said and "left out: id, name" in said


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("age,fare,sibs", "chooses 3 (age, fare, sibs), the network takes 4"),
        ("age,fare,sibs,ports", "no column 'ports'; near to it are port"),
        ("age,age,sibs,port", "'age' is asked for twice"),
        ("age,fare,sibs,name", "text is in name"),
        ("age,fare,sibs,9", "no column 9; they count from 0 to 5"),
        ("x*", "no column 'x*'"),
    ],
)
def test_wrong_choices(columns, message, capsys):
    Path("t.csv").write_text("id,age,fare,sibs,port,name\n7,22,3,1,2,Ann\n8,2,3,1,2,Bob\n")
    assert run("--columns", columns) == 2
    assert message in capsys.readouterr().err


def test_names_with_commas_and_numbers_as_names():
    text = 'a,"b, c",2,0,1\n9,22,3,1,2\n'
    assert explained(text, "--columns", '"b, c",2,0,1') == [[22, 30, 100, 2000]]


def test_columns_are_in_the_answer(capsys):
    Path("t.csv").write_text("age,fare,sibs,port\n22,3,1,2\n")
    assert run("--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["columns"] == list(FEATURES)
    strongest = answer["results"][0]["strongest"]
    assert list(strongest) == ["port", "sibs", "fare"]
    assert list(strongest.values()) == pytest.approx([2000, 100, 30], rel=1e-5)
    read = dtd.Explanation.load("heatmaps/heatmaps.npz")
    assert read.feature_names == FEATURES and read[0].relevance.shape == (1, 4)


def test_names_are_in_the_table(capsys):
    """Of features, of tables and of arrays; of classes."""
    network = dtd.load("named.npz")
    network.class_names = ("survived",)
    network.save("named.npz")
    np.save("x.npy", np.array([[22, 3, 1, 2]], np.float32))
    Path("t.csv").write_text("age,fare,sibs,port\n22,3,1,2\n")
    assert run("x.npy", model="named.npz") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("largest R") and len(lines) == 4
    assert all("0 survived" in line for line in lines[2:])
    assert all(line.endswith("port +2e+03, sibs +100, fare +30") for line in lines[2:])


def test_both_ends_of_long_names_are_in_the_table(capsys):
    long = "passengers_of_the_titanic_on_its_maiden_voyage"
    Path(f"{long}.csv").write_text("age,fare,sibs,port\n22,3,1,2\n23,3,1,2\n")
    assert cli.main(["explain", "plain.npz", f"{long}.csv", "--no-pictures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0][-4:] for line in lines[2:]] == ["ge-1", "ge-2"]


# ------------------------------------------------------------------- how tables are written


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("age\tfare\tsibs\tport\n22\t3\t1\t2\n", "utf-8"),
        ("age;fare;sibs;port\n22;3;1;2\n", "utf-8"),
        ('"age","fare","sibs","port"\n"22","3","1","2"\n', "utf-8"),
        ("age, fare, sibs, port\r\n 22, 3.0, 1e0, +2\r\n\r\n", "utf-8"),
        ("age,fare,sibs,port\n22,3,1,2\n", "utf-8-sig"),
        ("age,fare,sibs,port,\n22,3,1,2,\n", "utf-8"),
        ("age,fare,sibs,port\n22,3,1,2,,\n", "utf-8"),
        ("# age,fare,sibs,port\n22,3,1,2\n", "utf-8"),
        (",age,fare,sibs,port\n0,22,3,1,2\n", "utf-8"),
        ("Unnamed: 0,age,fare,sibs,port\n0,22,3,1,2\n", "utf-8"),
        (",age,fare,sibs,port\nrow1,22,3,1,2\n", "utf-8"),
        ("0,1,2,3\n22,3,1,2\n", "utf-8"),
    ],
)
def test_dialects(text, encoding):
    assert explained(text, encoding=encoding) == [[22, 30, 100, 2000]]


def test_truths_are_numbers(capsys):
    text = "age,fare,sibs,port\n22,3,True,2\n23,4,false,1\n"
    assert explained(text) == [[22, 30, 100, 2000], [23, 40, 0, 1000]]
    assert "text is in sibs" in refused_again("age,fare,sibs,port\n1,2,yes,3\n", capsys)


def refused_again(text, capsys):
    Path("heatmaps/heatmaps.npz").unlink()
    Path("heatmaps").rmdir()
    return refused(text, capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age;fare;sibs;port\n22,5;3;1;2\n", "holds '22,5' in the column 'age'"),
        ('age,fare,sibs,port\n"1,234",3,1,2\n', "decimal point, and without separators"),
        ("age,fare,sibs,port\n1_000,3,1,2\n", "text is in age"),
        ("22,3,1,2\n23,4,1,2\n", "begins with numbers (22, 3, 1, 2)"),
        ("22,3,1,Ann\n23,4,1,Bob\n", "begins with numbers (22, 3, 1)"),
        ("age,fare,age,port\n1,2,3,4\n", "more than one column 'age'"),
        ("age,fare,sibs,port\n", "no rows below its header"),
        ("age,fare,sibs\n1,2,3,4\n", "row 1 has 4 cells"),
        ("name,port\nx,S\n", "numbers are in no column (0), text is in name, port"),
    ],
)
def test_refused_tables(text, message, capsys):
    Path("t.csv").write_text(text)
    assert run() in (1, 2)
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and not Path("heatmaps").exists()


def test_names_that_look_like_numbers():
    text = "2019,2020,2021,2022\n22,3,1,2\n"
    assert explained(text, "--columns", "2019,2020,2021,2022") == [[22, 30, 100, 2000]]
    twice = "a,a,a,b\n22,3,1,2\n"
    assert explained(twice, "--columns", "0:4") == [[22, 30, 100, 2000]]


# ------------------------------------------------------------------- rows that fail


def test_a_hole_is_one_failure(capsys):
    rows = ["22,3,1,2", "23,,1,2", "24,NA,1,2", "25,inf,1,2", "26,x,1,2", "27,3,1", "28,1e99,1,2"]
    Path("t.csv").write_text("\n".join(["age,fare,sibs,port", *rows, "29,3,1,2"]))
    assert run("--json") == 1
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert [found["name"] for found in answer["results"]] == ["t-1", "t-8"]
    reasons = {failure["name"]: failure["reason"] for failure in answer["failures"]}
    assert list(reasons) == [f"t-{row}" for row in range(2, 8)]
    assert reasons["t-2"] == "row 2 holds nothing in the column 'fare'"
    assert "row 3 holds 'NA'" in reasons["t-3"] and "row 4 holds 'inf'" in reasons["t-4"]
    assert "row 5 holds 'x'" in reasons["t-5"] and "row 6 has 3 cells" in reasons["t-6"]
    assert "too large for float32" in reasons["t-7"]
    assert "dtdcore: failed: t-2: row 2 holds nothing" in printed.err
    assert relevance().round(2).tolist() == [[22, 30, 100, 2000], [29, 30, 100, 2000]]


def test_a_number_outside_of_the_domain_names_its_column(capsys):
    Path("t.csv").write_text("age,fare,sibs,port\n1,2,3,4\n1,99,3,4\n")
    assert run("--domain", "0,50") == 1
    assert "t-2: it holds 99 in the column 'fare', which is outside" in capsys.readouterr().err


def test_one_table_of_another_kind_does_not_stop_the_others(capsys):
    Path("t.csv").write_text("age,fare,sibs,port\n1,2,3,4\n")
    Path("u.csv").write_text("name,age\nx,2\n")
    Path("v.tsv").write_bytes(b"\xff\xfe\x00")
    assert cli.main(["explain", "plain.npz", "t.csv", "u.csv", "v.tsv", "--no-pictures"]) == 1
    error = capsys.readouterr().err
    assert "failed: u: u.csv: the network takes 4 numbers" in error
    assert "failed: v: v.tsv is no table in UTF-8" in error
    assert len(relevance()) == 1


def test_evaluate_reads_tables_alike(capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    text = "id,port,age,fare,sibs\n" + "".join(f"{i},2,{20 + i},3,1\n" for i in range(6))
    Path("t.csv").write_text(text + "9,2,,3,1\n")
    arguments = ["evaluate", "named.npz", "t.csv", "--methods", "deep-taylor,random", "--fill", "0"]
    assert cli.main([*arguments, "--domain", "0,50"]) == 1
    error = capsys.readouterr().err
    assert "columns: age, fare, sibs, port; left out: id" in error
    assert "failed: t-7: row 7 holds nothing in the column 'age'" in error
    assert cli.main(["evaluate", "plain.npz", "t.csv", "--out", "other"]) == 2
    assert "--columns id,port,..." in capsys.readouterr().err


def test_as_a_program():
    Path("t.csv").write_text("PassengerId,age,fare,sibs,port\n7,22,3,1,S\n")
    command = [sys.executable, "-m", "dtdcore", "explain", "plain.npz", "t.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "text is in port" in done.stderr and "--columns" in done.stderr
    assert done.stderr.count("\n") == 1 and not Path("heatmaps").exists()


def test_columns_without_a_name_are_not_advised(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(",a,b,c\n0,1,2,3\n")
    with pytest.raises(OptionError, match=r"--columns a,b,\.\.\.$"):
        choose_columns(read_table(path), 2)
