#!/bin/sh
# The real programs the interop tests drive: libiscsi's tools, tgt, tshark, from Debian's packages.
# Installed here when that may be done without asking; otherwise the tests that need them say so and are skipped,
# unless MPIOLAB_REQUIRE_PEERS=1, which turns a missing peer into a failure.
set -eu
missing=
for pair in iscsi-ls:libiscsi-bin iscsi-perf:libiscsi-bin tgtd:tgt tshark:tshark; do
    program=${pair%%:*} package=${pair#*:}
    if ! command -v "$program" >/dev/null 2>&1 && ! [ -x "/usr/sbin/$program" ]; then
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    fi
done
[ -n "$missing" ] || exit 0
. "$(dirname "$0")/root.sh"

# Debian's tgt starts a tgtd on 0.0.0.0:3260, which would keep that port from everybody: not started, not enabled.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
    [ -e $policy ] || as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && touch $policy.mpiolab"
}
let_services_be() {
    if [ -e $policy.mpiolab ]; then
        as_root rm -f $policy $policy.mpiolab
    fi
    case " $missing " in *" tgt "*)
        if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet tgt.service || true; fi ;;
    esac
}

# shellcheck disable=SC2086 — the list is meant to be split
if command -v apt-get >/dev/null 2>&1 && as_root apt-get update -qq && keep_services_down; then
    trap let_services_be EXIT
    if as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
fi
echo "real peers not installed:$missing (Debian packages)" >&2
if [ "${MPIOLAB_REQUIRE_PEERS:-0}" = 1 ]; then
    echo "MPIOLAB_REQUIRE_PEERS=1: they are required" >&2
    exit 1
fi
echo "the interop tests that need them will be skipped" >&2
