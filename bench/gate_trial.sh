#!/bin/sh
# bench/gate_trial.sh [TRIES [UNCHANGED]]: how often the regression gate sees a planted slowdown of 10 %, and how often it cries wolf.
#
# The forward kernel of the direct algorithm is changed so that 2 of 15 rows are computed twice, which takes a tenth of its time: the second
# time finds the caches warm. The backward-data kernel stays as it is. Both kernels are measured in turn. Try i compares runs i to i + 2 of the
# one with runs i to i + 2 of the other (10 TRIES); an unchanged comparison takes every other one of six runs of the same kernel in a
# row (20 UNCHANGED). So neighbouring comparisons share runs. A quarter of a minute a run. TESSERA: the command, "build/bin/tessera" by default.
set -eu
cd "$(dirname "$0")/.."
tries=${1:-10} unchanged=${2:-20}
tessera=${TESSERA:-build/bin/tessera}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME="$work/data" # no tuning database: both sides plan the same

cp -r kernels_cl "$work/planted"
sed 's|^    for (int tile = 0; tile < Q; tile += WT) {|    for (int again = row % 15 < 2; again >= 0; again--) for (int tile = 0; tile < Q; tile += WT) {|' \
    kernels_cl/conv_direct.cl >"$work/planted/conv_direct.cl"
if cmp -s kernels_cl/conv_direct.cl "$work/planted/conv_direct.cl"; then
    echo "gate_trial: the forward kernel's loop is not what it was; correct the planted line" >&2
    exit 1
fi

# measure KERNELS FILE
measure() {
    # shellcheck disable=SC2086 # a command with its arguments
    TESSERA_KERNEL_DIR=$1 $tessera bench conv --problem n8c128h28w28k128r3s3pt1pb1pl1pr1 \
        --problem n8c64h56w56k64r1s1 --pass fwd,bwd_data --algo direct --gate --json "$2" >"$work/log" ||
        { cat "$work/log" >&2; exit 1; }
}

# compare NAME: of old.json and new.json; the rows that are slower go to $work/found. Fails as bench compare does.
compare() {
    # shellcheck disable=SC2086
    $tessera bench compare "$work/old.json" "$work/new.json" --fail-above 5% >"$work/table" 2>"$work/found" &&
        status=0 || status=$?
    sed "s|^|$1: |" "$work/table"
    return "$status"
}

run=0 flagged=0 rows=0 wrong=0 alarms=0
while [ "$run" -lt $((tries + 2)) ]; do
    measure kernels_cl "$work/same$run.json"
    measure "$work/planted" "$work/planted$run.json"
    run=$((run + 1))
done
i=0
while [ "$i" -lt "$tries" ]; do
    cat "$work/same$i.json" "$work/same$((i + 1)).json" "$work/same$((i + 2)).json" >"$work/old.json"
    cat "$work/planted$i.json" "$work/planted$((i + 1)).json" "$work/planted$((i + 2)).json" >"$work/new.json"
    compare planted || flagged=$((flagged + 1))
    rows=$((rows + $(grep -c ' fwd .* slower$' "$work/found" || true)))
    wrong=$((wrong + $(grep -c ' bwd_data .* slower$' "$work/found" || true)))
    i=$((i + 1))
done
echo "planted: flagged in $flagged of $tries tries ($rows of $((2 * tries)) slow rows; $wrong rows that are not slow)"

while [ "$run" -lt $((unchanged + 5)) ]; do
    measure kernels_cl "$work/same$run.json"
    run=$((run + 1))
done
i=0
while [ "$i" -lt "$unchanged" ]; do
    cat "$work/same$i.json" "$work/same$((i + 2)).json" "$work/same$((i + 4)).json" >"$work/old.json"
    cat "$work/same$((i + 1)).json" "$work/same$((i + 3)).json" "$work/same$((i + 5)).json" >"$work/new.json"
    compare unchanged || alarms=$((alarms + 1))
    i=$((i + 1))
done
echo "unchanged: flagged in $alarms of $unchanged comparisons"
[ "$flagged" = "$tries" ] && [ "$alarms" = 0 ]
