#!/bin/sh
# Coverage-guided fuzzing of every target of tests/fuzz/targets.py, two at a time, FUZZ_SECONDS (600) in all.
# Inputs that break something land in tests/fuzz/crashes/, where `make test` replays them once they are mended.
set -u
python=.venv/bin/python
seconds=${FUZZ_SECONDS:-600}
"$python" -c 'import atheris' 2>/dev/null ||
    "$python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements-fuzz.lock || {
    echo "atheris cannot be installed here; it has wheels for CPython 3.11 to 3.13 on x86-64 Linux" >&2
    exit 1
}
each=$((seconds / 3))
broken=
for pair in "session cdb" "login framer" "raw_session text"; do
    set -- $pair
    "$python" -m tests.fuzz.run "$1" ".fuzz/$1" -max_total_time=$each -print_final_stats=1 >".fuzz-$1.log" 2>&1 & first=$!
    "$python" -m tests.fuzz.run "$2" ".fuzz/$2" -max_total_time=$each -print_final_stats=1 >".fuzz-$2.log" 2>&1 & second=$!
    wait $first || broken="$broken $1"
    wait $second || broken="$broken $2"
    for name in $pair; do
        mkdir -p .fuzz
        mv ".fuzz-$name.log" ".fuzz/$name.log"
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' ".fuzz/$name.log")
        echo "$name: ${runs:-no} inputs in $each s, $(find ".fuzz/$name" -type f | wc -l) kept"
    done
done
for name in $broken; do
    echo "$name found something:" >&2
    tail -n 25 ".fuzz/$name.log" >&2
done
[ -z "$broken" ]
