# Installs, runs, upgrades and removes the package /try/*.deb, as an administrator would. Run by in-a-machine.sh.
set -eux
systemd=$([ ! -d /run/systemd/system ] || echo yes)
ip link set lo up || true
# Test machines use it to keep packages from starting services; here that is what is to be seen.
rm -f /usr/sbin/policy-rc.d
# A small Debian does not have it.
rm -f /bin/kill
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

until_true() { for _ in $(seq 600); do if "$@"; then return; fi; sleep 0.1; done; echo "never true: $*"; exit 1; }
# What is printed reaches the journal, or the file, beside the work.
journal_has() { journalctl -u foghorn | grep "$1" > /dev/null; }
answers() { curl -sf "http://127.0.0.1:$1" > /dev/null; }

# --- install: nothing starts by itself, the unit is sound
dpkg -i /try/*.deb
foghorn --version
dpkg -L foghorn | grep man1/foghorn-doctor.1.gz > /dev/null
dpkg -L foghorn | grep bash-completion/completions/foghorn > /dev/null
dpkg -s foghorn | grep '^Depends: .*libc6 (>= ' > /dev/null
test "$(stat -c %a /etc/foghorn/foghorn.env)" = 600
systemd-analyze verify /usr/lib/systemd/system/foghorn.service /usr/lib/systemd/system/foghorn@.service
if env -i PATH="$PATH" foghorn check-config; then echo "no key, and no fault"; exit 1; fi

if [ -n "$systemd" ]; then
    if systemctl is-active foghorn; then echo 'started without a key'; exit 1; fi

    # --- one node
    printf 'JWT_PRIVATE_KEY=a-key-of-thirty-two-characters-00\nFOGHORN_SETTLE_SECONDS=0\nFOGHORN_DRAIN_SECONDS=1\n' >> /etc/foghorn/foghorn.env
    systemctl enable --now foghorn
    until_true answers 8084/readyz
    answers 8083/ping
    pid=$(systemctl show -P MainPID foghorn)
    test "$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")" -ge 1000
    test "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" = 0000000000000000
    # What the unit asks for is got only where this machine's root may raise limits.
    test "$(systemctl show -P LimitNOFILE foghorn)" = 1048576
    test "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")" -gt 4096
    foghorn status
    until_true journal_has serving
    systemctl reload foghorn
    until_true journal_has 'configuration read again'
    if journalctl -u foghorn | grep a-key-of; then echo 'the key is in the log'; exit 1; fi

    # --- the key as one of systemd's credentials: not in the process' environment
    mkdir -p /etc/credstore
    printf 'a-key-of-systemd-that-has-00-and-more\n' > /etc/credstore/foghorn.JWT_PRIVATE_KEY
    chmod 600 /etc/credstore/foghorn.JWT_PRIVATE_KEY
    sed -i 's/^JWT_PRIVATE_KEY=/#&/' /etc/foghorn/foghorn.env
    systemctl restart foghorn
    until_true answers 8084/readyz
    if tr '\0' '\n' < "/proc/$(systemctl show -P MainPID foghorn)/environ" | grep JWT_PRIVATE_KEY; then echo 'the key is in the environment'; exit 1; fi
    rm /etc/credstore/foghorn.JWT_PRIVATE_KEY
    sed -i 's/^#JWT_PRIVATE_KEY=a-key-of/JWT_PRIVATE_KEY=a-key-of/' /etc/foghorn/foghorn.env
    systemctl restart foghorn
    until_true answers 8084/readyz

    # --- a second node on the same machine
    printf 'NOTIFICATION_SERVER_PORT=9083\nFOGHORN_OPS_ADDR=127.0.0.1:9084\n' > /etc/foghorn/a.env
    systemctl start foghorn@a
    until_true answers 9084/readyz
    systemctl stop foghorn@a
    test "$(systemctl show -P Result foghorn@a)" = success

    # --- a log file, rotated
    mkdir -p /etc/systemd/system/foghorn.service.d
    printf '[Service]\nExecStart=\nExecStart=/usr/bin/foghorn -l /var/log/foghorn/foghorn.log\n' > /etc/systemd/system/foghorn.service.d/log.conf
    systemctl daemon-reload
    systemctl restart foghorn
    until_true answers 8084/readyz
    until_true grep -q serving /var/log/foghorn/foghorn.log
    if command -v logrotate; then
        logrotate -f /etc/logrotate.d/foghorn
        until_true grep -q reopened /var/log/foghorn/foghorn.log
        grep -q serving /var/log/foghorn/foghorn.log.1
    fi

    # --- upgrade: restarted, settings kept
    pid=$(systemctl show -P MainPID foghorn)
    dpkg -i /try/*.deb
    until_true answers 8084/readyz
    test "$(systemctl show -P MainPID foghorn)" != "$pid"
    grep -q a-key-of /etc/foghorn/foghorn.env
fi

# --- remove: stopped, settings kept; purge: nothing is left
dpkg -r foghorn
test ! -e /usr/bin/foghorn
test -e /etc/foghorn/foghorn.env
if [ -n "$systemd" ] && answers 8083/ping; then echo "it still runs"; exit 1; fi
rm -f /etc/foghorn/a.env
dpkg -P foghorn
test ! -e /etc/foghorn
test ! -e /etc/logrotate.d/foghorn
echo "the package came and went${systemd:+, and its units ran}"
