#!/bin/bash
# Hosts of one's own, on one machine: each has its address, processes, /tmp, home and sshd; there is no way out to a network.
#   LAB=FOLDER VENV=ENVIRONMENT KEEP="PATH ..." FIRST=1 lab.sh N COMMAND ...
# runs COMMAND as the operator (10.77.0.254) beside the hosts 10.77.0.FIRST, FIRST+1, ... (N of them); all of it dies with COMMAND.
# LAB holds the hosts' files; $LAB/id is the operator's key, $LAB/hosts.env the start of every host's .bashrc.
# Hosts see VENV and the paths of KEEP, also below /tmp and the home.
# `ip link set p2 down` cuts off the second host, `up` brings it back. Needs root, iproute2, openssh-server and rsync.
set -eu
: "${LAB:?a work folder}" "${VENV:?the environment with ray in it}" "${KEEP:=}" "${FIRST:=1}"
export LAB VENV KEEP FIRST
home=$(getent passwd root | cut -d: -f6)

# Gives a process its own home and /tmp, with the kept paths still where they were.
own_folders() {
  local folder=$1 path
  mkdir -p "$folder/tmp" "$folder/home"
  for path in "$LAB" "$VENV" $KEEP; do
    case $path/ in
      /tmp/*) mkdir -p "$folder$path" && mount --rbind "$path" "$folder$path" ;;
      "$home"/*) mkdir -p "$folder/home${path#"$home"}" && mount --rbind "$path" "$folder/home${path#"$home"}" ;;
    esac
  done
  mount --rbind "$folder/home" "$home"
  mount --rbind "$folder/tmp" /tmp
}

case ${STAGE:-outer} in
outer)
  mkdir -p "$LAB"
  [ -f "$LAB/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$LAB/id"
  [ -f "$LAB/host_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$LAB/host_key"
  STAGE=operator exec unshare --mount --net --pid --uts --fork --kill-child --mount-proc bash "$0" "$@"
  ;;
operator)
  count=$1
  shift
  mount --make-rprivate /
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns /run/sshd
  rm -rf "$LAB/hosts"
  ip link set lo up
  ip link add br0 type bridge
  ip addr add 10.77.0.254/24 dev br0
  ip link set br0 up
  for i in $(seq "$count"); do
    folder=$LAB/hosts/$i
    ip netns add "n$i"
    ip link add "p$i" type veth peer name eth0 netns "n$i"
    ip link set "p$i" master br0 up
    ip -n "n$i" link set lo up
    ip -n "n$i" addr add "10.77.0.$((FIRST + i - 1))/24" dev eth0
    ip -n "n$i" link set eth0 up
    ip -n "n$i" route add default via 10.77.0.254 # leads nowhere: Ray and boto want to see one
    mkdir -p "$folder/tmp" "$folder/home/.ssh"
    cp "$LAB/id.pub" "$folder/home/.ssh/authorized_keys"
    cp "$LAB/hosts.env" "$folder/home/.bashrc"
    echo '. ~/.bashrc' >"$folder/home/.bash_profile"
    STAGE=host ip netns exec "n$i" unshare --mount --pid --uts --fork --kill-child --mount-proc \
      bash "$0" "$i" >"$folder/sshd.log" 2>&1 </dev/null &
  done
  own_folders "$LAB/hosts/operator"
  mount -t tmpfs tmpfs /dev/shm
  for i in $(seq "$count"); do
    for try in $(seq 100); do
      grep -q "Server listening" "$LAB/hosts/$i/sshd.log" && break
      [ "$try" = 100 ] && { cat "$LAB/hosts/$i/sshd.log" >&2; exit 70; }
      sleep 0.1
    done
  done
  unset STAGE
  export PATH="$VENV/bin:$PATH"
  "$@"
  ;;
host)
  hostname "host$1"
  mount --make-rprivate /
  own_folders "$LAB/hosts/$1"
  mount -t tmpfs -o size=1g tmpfs /dev/shm
  mount -t tmpfs tmpfs /run
  mkdir -p /run/sshd
  cp "$LAB/host_key" /run/host_key
  chmod 600 /run/host_key
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/sbin/sshd -D -e -h /run/host_key -o UsePAM=no -o PasswordAuthentication=no \
    -o StrictModes=no -o UseDNS=no -o MaxStartups=100 -o MaxSessions=100 -o PidFile=none &
  wait
  ;;
esac
