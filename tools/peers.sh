#!/bin/sh
# The real programs the tests drive, from Debian's packages: libiscsi's tools, tgt, istgt, tshark, QEMU's block driver,
# what boots a Linux guest on a network of its own (QEMU, iproute2, cpio), and a browser to look at charts with. A second
# run finds everything and ends at once.
# Installed here when that may be done without asking; otherwise the tests that need them say so and are skipped,
# unless MPIOLAB_REQUIRE_PEERS=1, which turns a missing peer into a failure.
set -eu
missing=
for pair in iscsi-ls:libiscsi-bin iscsi-perf:libiscsi-bin tgtd:tgt istgt:istgt tshark:tshark qemu-img:qemu-utils \
    qemu-system-x86_64:qemu-system-x86 ip:iproute2 cpio:cpio chromium:chromium; do
    program=${pair%%:*} package=${pair#*:}
    if ! command -v "$program" >/dev/null 2>&1 && ! [ -x "/usr/sbin/$program" ] && ! [ -x "/sbin/$program" ]; then
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    fi
done
# QEMU's iscsi driver is a library of its own.
ls /usr/lib/*/qemu/block-iscsi.so >/dev/null 2>&1 || missing="$missing qemu-block-extra"
[ -n "$missing" ] || exit 0
. "$(dirname "$0")/root.sh"

# Debian's tgt and istgt start a server on 0.0.0.0:3260, which would keep that port from everybody: not started, not enabled.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
    [ -e $policy ] || as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && touch $policy.mpiolab"
}
let_services_be() {
    if [ -e $policy.mpiolab ]; then
        as_root rm -f $policy $policy.mpiolab
    fi
    for service in tgt istgt; do
        case " $missing " in *" $service "*)
            if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet "$service" || true; fi ;;
        esac
    done
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
