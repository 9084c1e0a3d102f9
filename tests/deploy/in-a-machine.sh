#!/bin/sh
# Runs a script as root on a throw-away copy of this machine: an overlay over /, booted by systemd in a container with a
# network of its own. Nothing of the machine itself is changed.  in-a-machine.sh SCRIPT [FILE…]
# The files are found beside the script in /try. The script's exit status and output are this one's.
# Where no such container can be booted, the script runs in a chroot of the copy, with /run/systemd/system missing.
set -eu
if [ "${1:-}" != --apart ]; then
    work=$(mktemp -d)
    trap 'rmdir "$work"' EXIT
    unshare --mount --pid --fork --kill-child "$0" --apart "$work" "$@"
    exit
fi
work=$2
shift 2
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o size=2g tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/machine"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/machine"
machine=$work/machine
mkdir "$machine/try"
cp "$@" "$machine/try/"
script=/try/$(basename "$1")

# The only thing that is started beside the basic system; when it ends, so does the machine.
cat > "$machine/etc/systemd/system/try.service" <<END
[Unit]
DefaultDependencies=no
After=basic.target systemd-journald.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'touch /try/booted; sh $script > /try/output 2>&1; echo \$? > /try/status'
END
cat > "$machine/etc/systemd/system/try.target" <<END
[Unit]
Requires=basic.target try.service
After=basic.target
END

cd "$work"
systemd-nspawn -q -D "$machine" --register=no --keep-unit --private-network --kill-signal=SIGKILL \
    -b systemd.unit=try.target > boot 2>&1 < /dev/null || true
if [ ! -e "$machine/try/booted" ]; then
    echo "no machine could be booted here; the script runs without systemd" >&2
    tail -n 5 boot >&2
    mount -t proc proc "$machine/proc"
    mount -t tmpfs tmpfs "$machine/run"
    mount --bind /dev "$machine/dev"
    status=0
    unshare --net chroot "$machine" sh "$script" > "$machine/try/output" 2>&1 || status=$?
    echo "$status" > "$machine/try/status"
fi
cat "$machine/try/output"
exit "$(cat "$machine/try/status")"
