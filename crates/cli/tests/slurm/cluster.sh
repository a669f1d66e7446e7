#!/usr/bin/env bash
# A Slurm cluster of virtual nodes on this one machine, on its loopback device alone, for tests; it needs slurm-wlm and munge.
#   cluster.sh up DIR [NODES]     everything is kept in DIR; then: export SLURM_CONF=DIR/slurm.conf
#   cluster.sh restart DIR        ends the controller and starts it again
#   cluster.sh node DIR NAME      starts a node's daemon again
#   cluster.sh down DIR           ends everything that it started, and nothing else
# The ports are free ones, so several clusters can be up at once.
set -euo pipefail
verb=$1
dir=$(mkdir -p "$2" && cd "$2" && pwd)
export SLURM_CONF=$dir/slurm.conf
PATH=$PATH:/usr/sbin:/sbin
# A suite that is itself a task of some cluster must not hand that on.
unset ${!SLURM_JOB*} ${!SLURM_ARRAY*} ${!SBATCH_*}

gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.[ZX]' "/proc/$1/status" 2>/dev/null; }
await_gone() { for _ in $(seq 100); do gone "$1" && return 0; sleep 0.1; done; kill -9 "$1" 2>/dev/null || true; }
pid_in() { cat "$1" 2>/dev/null || true; }
end() {
    local pid; pid=$(pid_in "$1"); [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    await_gone "$pid"
}
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# The first of so many ports in a row that nobody listens on.
free_ports() {
    local first i
    while :; do
        first=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        for ((i = 0; i < $1; i++)); do taken $((first + i)) && continue 2; done
        echo "$first"; return
    done
}
await_controller() {
    for _ in $(seq 100); do scontrol ping 2>/dev/null | grep -q 'is UP' && return 0; sleep 0.1; done
    echo "cluster.sh: the controller does not answer, see $dir/ctld.log" >&2; return 1
}

case $verb in
up)
    nodes=${3:-2}
    host=$(hostname -s)
    user=$(id -un)
    port=$(free_ports $((nodes + 1)))
    mkdir -p "$dir/state"
    (umask 077; head -c 128 /dev/urandom >"$dir/key")
    echo 'CgroupPlugin=cgroup/v1' >"$dir/cgroup.conf"
    # A job's requeue waits for its credential to expire, hence cred_expire; nodes count as down after SlurmdTimeout seconds.
    cat >"$SLURM_CONF" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$user
SlurmdUser=$user
AuthInfo=socket=$dir/munge.sock,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmctldLogFile=$dir/ctld.log
SlurmdLogFile=$dir/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
SlurmdTimeout=10
KillWait=${KILL_WAIT:-5}
JobRequeue=0
MaxArraySize=${MAX_ARRAY_SIZE:-1001}
SlurmdParameters=config_overrides
NodeName=n[1-$nodes] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=2
PartitionName=debug Nodes=ALL Default=YES
CONF
    munged --force -S "$dir/munge.sock" --key-file="$dir/key" --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/seed"
    slurmctld
    for i in $(seq "$nodes"); do
        mkdir -p "$dir/spool.n$i"
        slurmd -N "n$i"
    done
    for _ in $(seq 200); do
        [ "$(sinfo -hN -t idle -o %N 2>/dev/null | wc -l)" = "$nodes" ] && exit 0
        sleep 0.1
    done
    echo "cluster.sh: the nodes are not idle after 20 s, see $dir/ctld.log" >&2
    exit 1 ;;
restart)
    end "$dir/ctld.pid"
    slurmctld
    await_controller ;;
node)
    slurmd -N "$3" ;;
down)
    # Jobs first, so that no daemon leaves processes of theirs behind.
    timeout 10 scancel -u "$(id -un)" 2>/dev/null || true
    for _ in $(seq 80); do [ -z "$(timeout 5 squeue -h -t R,CG 2>/dev/null)" ] && break; sleep 0.1; done
    end "$dir/ctld.pid"
    for file in "$dir"/n*.pid; do end "$file"; done
    # A daemon that was killed leaves its steps; they name this cluster's folder in their environment.
    for environ in /proc/[0-9]*/environ; do
        pid=${environ#/proc/}; pid=${pid%/environ}
        [ "$pid" != $$ ] && [ "$pid" != "$PPID" ] || continue
        { tr '\0' '\n' <"$environ"; } 2>/dev/null | grep -qxF "SLURM_CONF=$dir/slurm.conf" || continue
        case $(cat "/proc/$pid/comm" 2>/dev/null) in slurmstepd | stn | slurmd | slurmctld) kill -9 "$pid" 2>/dev/null || true ;; esac
    done
    end "$dir/munged.pid" ;;
*)
    echo "usage: cluster.sh up DIR [NODES] | restart DIR | node DIR NAME | down DIR" >&2
    exit 2 ;;
esac
