/* Real processes: what a slot starts, what it leaves alive (nothing), and what its death means. */
#include "worker/spawner/spawner.h"

#include "common/fs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct rig {
	char dir[64], out[80], err[80];
	int spawner, sock;
	pid_t spawner_pid, slot_pid;
	uint32_t run;
	uint64_t memory_max;
	int channel; /* for the next run; 0: none */
};

static void wait_readable(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	cr_assert_eq(poll(&pfd, 1, ms), 1, "nothing within %d ms", ms);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void set_up(struct rig *r)
{
	*r = (struct rig){.run = 0};
	strcpy(r->dir, "/tmp/cashet-spawner-XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	snprintf(r->out, sizeof r->out, "%s/out", r->dir);
	snprintf(r->err, sizeof r->err, "%s/err", r->dir);
	touch(r->out);
	touch(r->err);
	r->spawner = spawner_start(&r->spawner_pid);
	cr_assert_geq(r->spawner, 0);
	cr_assert_eq(spawner_request_slot(r->spawner, 7), 0);
	struct spawner_message m;
	wait_readable(r->spawner, 60000);
	cr_assert_eq(spawner_receive(r->spawner, &m, &r->sock), 0);
	cr_assert_eq(m.type, SPAWNER_SLOT);
	cr_assert_eq(m.slot, 7);
	cr_assert_eq(m.error, 0);
	r->slot_pid = m.pid;
}

static void tear_down(struct rig *r)
{
	if (r->sock >= 0)
		close(r->sock);
	if (r->spawner >= 0)
		close(r->spawner);
	waitpid(r->spawner_pid, NULL, 0);
	fs_remove_tree(r->dir);
}

/* Arguments until NULL; the environment is PATH=@path and NAME=value. */
static void start_env(struct rig *r, const char *path, const char *const *argv)
{
	struct buf strings = {0};
	uint32_t argc = 0;
	const char *places[] = {r->dir, r->out, r->err};
	for (int i = 0; i < 3; i++)
		buf_add(&strings, places[i], strlen(places[i]) + 1);
	for (; argv[argc]; argc++)
		buf_add(&strings, argv[argc], strlen(argv[argc]) + 1);
	buf_printf(&strings, "PATH=%s", path);
	buf_add_byte(&strings, 0);
	buf_add(&strings, "NAME=value", 11);
	const struct slot_program program = {
		.argc = argc,
		.envc = 2,
		.strings = strings.data,
		.size = strings.size,
		.memory_max = r->memory_max,
		.channel = r->channel ? r->channel : -1,
	};
	cr_assert_eq(slot_send_run(r->sock, ++r->run, &program), 0);
	buf_fini(&strings);
}

#define start(r, ...)                                                                    \
	start_env(r, "/usr/bin:/bin", (const char *const[]){__VA_ARGS__, NULL})

static struct slot_report ended(struct rig *r, int ms)
{
	struct slot_report report;
	wait_readable(r->sock, ms);
	cr_assert_eq(slot_receive(r->sock, &report), 0);
	cr_assert_eq(report.type, SLOT_ENDED);
	cr_assert_eq(report.run, r->run);
	return report;
}

static const char *content(const char *path)
{
	static struct buf text;
	buf_reset(&text);
	cr_assert_eq(fs_read_file(path, 1 << 20, &text), 0);
	return buf_cstr(&text);
}

/* The pids that a task wrote into @name, one per line. */
static int read_pids(struct rig *r, const char *name, pid_t *pids, int max, int want)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	for (int tries = 0; tries < 6000; tries++) {
		FILE *f = fopen(path, "r");
		int n = 0;
		while (f && n < max && fscanf(f, "%d", &pids[n]) == 1)
			n++;
		if (f)
			fclose(f);
		if (n >= want)
			return n;
		usleep(10000);
	}
	cr_assert_fail("the task wrote no pids");
	return 0;
}

static bool is_alive(pid_t pid)
{
	char path[64], text[256];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return false;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *at = strrchr(text, ')');
	return at && at[2] != 'Z' && at[2] != 'X';
}

static bool dies_within(pid_t pid, int ms)
{
	for (int i = 0; i < ms / 10; i++) {
		if (!is_alive(pid))
			return true;
		usleep(10000);
	}
	return !is_alive(pid);
}

Test(spawner, runs_a_program_in_its_directory_with_its_environment_alone)
{
	struct rig r;
	set_up(&r);
	setenv("LEAKED", "yes", 1);
	start(&r, "sh", "-c",
	      "pwd; env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e OLDPWD | sort; echo oops "
	      ">&2; exit "
	      "3");
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.step, SLOT_STEP_NONE);
	cr_assert(WIFEXITED(report.status));
	cr_assert_eq(WEXITSTATUS(report.status), 3);
	char expected[256];
	snprintf(expected, sizeof expected, "%s\nNAME=value\nPATH=/usr/bin:/bin\n",
		 r.dir);
	cr_assert_str_eq(content(r.out), expected);
	cr_assert_str_eq(content(r.err), "oops\n");
	cr_assert_gt(report.duration_ns, 0);
	cr_assert_gt(report.max_rss_bytes, 100000);
	tear_down(&r);
}

Test(spawner, gives_a_program_no_descriptor_beyond_the_first_three)
{
	struct rig r;
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */
	set_up(&r);
	start(&r, "sh", "-c", "ls /proc/self/fd | wc -l; cat; ps -o sid= -p $$; echo $$");
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.status, 0);
	int count, sid, pid; /* ls has one more open: the folder that it reads */
	cr_assert_eq(sscanf(content(r.out), "%d %d %d", &count, &sid, &pid), 3);
	cr_assert_eq(count, 4);
	cr_assert_eq(sid, pid, "it leads its own session");
	close(leak);
	tear_down(&r);
}

Test(spawner, forbids_new_privileges_and_unblocks_signals)
{
	struct rig r;
	set_up(&r);
	start(&r, "grep", "-E", "NoNewPrivs|SigBlk|SigIgn", "/proc/self/status");
	ended(&r, 60000);
	cr_assert_str_eq(content(r.out),
			 "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
			 "NoNewPrivs:\t1\n");
	tear_down(&r);
}

Test(spawner, says_precisely_what_did_not_start)
{
	struct rig r;
	set_up(&r);
	start(&r, "no-such-program");
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.step, SLOT_STEP_EXEC);
	cr_assert_eq(report.error, ENOENT);

	char path[128];
	snprintf(path, sizeof path, "%s/plain", r.dir);
	touch(path);
	start(&r, "./plain");
	report = ended(&r, 60000);
	cr_assert_eq(report.step, SLOT_STEP_EXEC);
	cr_assert_eq(report.error, EACCES);

	chmod(path, 0700);
	int fd = open(path, O_WRONLY);
	cr_assert_eq(write(fd, "echo hello\n", 11), 11);
	close(fd);
	start(&r, "./plain");
	report = ended(&r, 60000);
	cr_assert_eq(report.error, ENOEXEC, "no shell unless asked for");

	start(&r, "true"); /* the slot is as good as new */
	report = ended(&r, 60000);
	cr_assert_eq(report.step, SLOT_STEP_NONE);
	cr_assert_eq(report.status, 0);
	tear_down(&r);
}

Test(spawner, looks_for_a_program_in_the_path_of_the_task)
{
	struct rig r;
	set_up(&r);
	char script[128], path[256];
	snprintf(script, sizeof script, "%s/mine", r.dir);
	int fd = open(script, O_WRONLY | O_CREAT, 0700);
	cr_assert_eq(write(fd, "#!/bin/sh\necho found $1\n", 24), 24);
	close(fd);
	start(&r, "mine", "no");
	cr_assert_eq(ended(&r, 60000).step, SLOT_STEP_EXEC);
	snprintf(path, sizeof path, "/nowhere::%s:/bin", r.dir);
	start_env(&r, path, (const char *const[]){"mine", "it", NULL});
	cr_assert_eq(ended(&r, 60000).status, 0);
	cr_assert_str_eq(content(r.out), "found it\n");
	tear_down(&r);
}

Test(spawner, takes_argument_lists_of_a_megabyte_and_refuses_longer_ones_than_the_kernel)
{
	struct rig r;
	set_up(&r);
	enum { COUNT = 12000 };
	static const char *argv[COUNT + 4];
	static char word[90];
	memset(word, 'x', sizeof word - 1);
	argv[0] = "sh";
	argv[1] = "-c";
	argv[2] = "echo $#";
	for (int i = 3; i < COUNT + 3; i++)
		argv[i] = word;
	start_env(&r, "/bin", argv);
	cr_assert_eq(ended(&r, 60000).status, 0);
	cr_assert_str_eq(content(r.out), "11999\n");

	static char huge[200000]; /* one string over 128 KiB */
	memset(huge, 'y', sizeof huge - 1);
	start(&r, "true", huge);
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.step, SLOT_STEP_EXEC);
	cr_assert_eq(report.error, E2BIG);
	tear_down(&r);
}

Test(spawner, kills_what_a_task_leaves_behind)
{
	struct rig r;
	set_up(&r);
	/* A child, a double fork, one with its own session that ignores all it can. */
	start(&r, "sh", "-c",
	      "sleep 1000 & echo $! >>pids;"
	      "(sleep 1001 & echo $! >>pids) & wait $!;"
	      "setsid sh -c 'trap \"\" TERM INT HUP; echo $$ >>pids; sleep 1002; sleep "
	      "1003' &"
	      "while [ $(wc -l <pids) -lt 3 ]; do sleep 0.01; done");
	struct slot_report report = ended(&r, 10000);
	cr_assert_eq(report.status, 0);
	cr_assert_geq(report.leftovers, 3);
	pid_t pids[8];
	int count = read_pids(&r, "pids", pids, 8, 3);
	for (int i = 0; i < count; i++)
		cr_assert_not(is_alive(pids[i]), "%d", pids[i]);
	tear_down(&r);
}

Test(spawner, kills_a_daemon_that_python_would_call_proper)
{
	struct rig r;
	set_up(&r);
	/* fork, setsid, fork, the parents exit at once: the daemon is an orphan while main runs on. */
	start(&r, "perl", "-e",
	      "use POSIX; if (!fork) { POSIX::setsid(); $SIG{TERM}='IGNORE'; if (!fork) {"
	      " open F, '>daemon'; print F \"$$\\n\"; close F; sleep 1000 } exit } wait;"
	      "sleep 1 while !-s 'daemon'");
	struct slot_report report = ended(&r, 10000);
	cr_assert_eq(report.status, 0);
	pid_t daemon_pid;
	read_pids(&r, "daemon", &daemon_pid, 1, 1);
	cr_assert_not(is_alive(daemon_pid));
	tear_down(&r);
}

Test(spawner, reaps_orphans_while_the_task_runs)
{
	struct rig r;
	set_up(&r);
	start(&r, "sh", "-c",
	      "for i in 1 2 3 4 5; do (true & ) ; done; sleep 0.2; echo $PPID;"
	      "ps -o stat= --ppid $PPID | grep -c Z");
	struct slot_report report = ended(&r, 10000);
	cr_assert(WIFEXITED(report.status));
	int slot, zombies;
	cr_assert_eq(sscanf(content(r.out), "%d %d", &slot, &zombies), 2);
	cr_assert_eq(slot, r.slot_pid);
	cr_assert_eq(zombies, 0);
	tear_down(&r);
}

Test(spawner, a_signal_reaches_every_descendant)
{
	struct rig r;
	set_up(&r);
	start(&r, "sh", "-c",
	      "setsid sh -c 'trap \"echo inner >>got; exit\" TERM; echo $$ >>pids;"
	      " while :; do sleep 0.05; done' &"
	      "trap 'echo outer >>got; wait; exit 9' TERM; echo $$ >>pids;"
	      "while :; do sleep 0.05; done");
	pid_t pids[4];
	read_pids(&r, "pids", pids, 4, 2);
	cr_assert_eq(slot_send_signal(r.sock, r.run, SIGTERM), 0);
	struct slot_report report = ended(&r, 60000);
	cr_assert(WIFEXITED(report.status));
	cr_assert_eq(WEXITSTATUS(report.status), 9);
	char path[128];
	snprintf(path, sizeof path, "%s/got", r.dir);
	const char *got = content(path);
	cr_assert_not_null(strstr(got, "inner"));
	cr_assert_not_null(strstr(got, "outer"));
	tear_down(&r);
}

Test(spawner, sigkill_ends_what_ignores_sigterm)
{
	struct rig r;
	set_up(&r);
	start(&r, "sh", "-c",
	      "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >>pids; sleep 1000; "
	      "sleep 1000' &"
	      "echo $$ >>pids; sleep 1000; sleep 1000; sleep 1000");
	pid_t pids[4];
	int count = read_pids(&r, "pids", pids, 4, 2);
	slot_send_signal(r.sock, r.run, SIGTERM);
	usleep(100000);
	for (int i = 0; i < count; i++)
		cr_assert(is_alive(pids[i]));
	slot_send_signal(r.sock, r.run, SIGKILL);
	struct slot_report report = ended(&r, 60000);
	cr_assert(WIFSIGNALED(report.status));
	for (int i = 0; i < count; i++)
		cr_assert_not(is_alive(pids[i]));
	tear_down(&r);
}

Test(spawner, a_fork_bomb_is_outrun)
{
	struct rig r;
	set_up(&r);
	/* Twenty lines of descent that replace themselves all the time. */
	start(&r, "perl", "-e",
	      "$SIG{TERM}='IGNORE'; for (1..20) { if (!fork) { while (1) { select "
	      "undef,undef,undef,0.002;"
	      " exit if fork } } } open F, '>pids'; print F \"$$\\n\"; close F; sleep "
	      "1000");
	pid_t pid;
	read_pids(&r, "pids", &pid, 1, 1);
	usleep(50000);
	slot_send_signal(r.sock, r.run, SIGKILL);
	struct slot_report report = ended(&r, 60000);
	cr_assert(WIFSIGNALED(report.status));
	cr_assert_geq(report.leftovers, 20);
	tear_down(&r);
}

Test(spawner, a_signal_for_an_earlier_run_is_ignored)
{
	struct rig r;
	set_up(&r);
	start(&r, "true");
	ended(&r, 60000);
	start(&r, "sleep", "0.3");
	slot_send_signal(r.sock, r.run - 1, SIGKILL);
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.status, 0);
	tear_down(&r);
}

Test(spawner, the_death_of_the_worker_kills_its_trees)
{
	struct rig r;
	int ready[2];
	cr_assert_eq(pipe(ready), 0);
	pid_t worker = fork();
	if (worker == 0) {
		set_up(&r);
		start(&r, "sh", "-c",
		      "trap '' TERM HUP; setsid sleep 1000 & echo $! >>pids; echo $$ "
		      ">>pids;"
		      "sleep 1000; sleep 1000");
		pid_t pids[2];
		read_pids(&r, "pids", pids, 2, 2);
		cr_assert_eq(write(ready[1], &r, sizeof r), (ssize_t)sizeof r);
		pause();
	}
	cr_assert_eq(read(ready[0], &r, sizeof r), (ssize_t)sizeof r);
	pid_t pids[2];
	read_pids(&r, "pids", pids, 2, 2);
	cr_assert(is_alive(pids[0]) && is_alive(pids[1]));
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	cr_assert(dies_within(pids[0], 60000));
	cr_assert(dies_within(pids[1], 60000));
	cr_assert(dies_within(r.slot_pid, 60000));
	cr_assert(dies_within(r.spawner_pid, 60000));
	fs_remove_tree(r.dir);
}

Test(spawner, the_death_of_the_spawner_kills_the_trees)
{
	struct rig r;
	set_up(&r);
	start(&r, "sh", "-c",
	      "setsid sleep 1000 & echo $! >>pids; echo $$ >>pids; sleep 1000");
	pid_t pids[2];
	read_pids(&r, "pids", pids, 2, 2);
	kill(r.spawner_pid, SIGKILL);
	cr_assert(dies_within(pids[0], 60000));
	cr_assert(dies_within(pids[1], 60000));
	struct spawner_message m;
	int sock;
	wait_readable(r.spawner, 60000);
	cr_assert_eq(spawner_receive(r.spawner, &m, &sock), -EPIPE);
	tear_down(&r);
}

Test(spawner, the_death_of_a_slot_is_told_when_its_tree_is_dead)
{
	struct rig r;
	set_up(&r);
	start(&r, "sh", "-c",
	      "setsid sleep 1000 & echo $! >>pids; echo $$ >>pids; sleep 1000");
	pid_t pids[2];
	read_pids(&r, "pids", pids, 2, 2);
	kill(r.slot_pid, SIGKILL);
	struct spawner_message m;
	int sock;
	wait_readable(r.spawner, 60000);
	cr_assert_eq(spawner_receive(r.spawner, &m, &sock), 0);
	cr_assert_eq(m.type, SPAWNER_SLOT_GONE);
	cr_assert_eq(m.slot, 7);
	cr_assert_not(is_alive(pids[0]));
	cr_assert_not(is_alive(pids[1]));
	/* A new one in its place works. */
	spawner_request_slot(r.spawner, 7);
	wait_readable(r.spawner, 60000);
	close(r.sock);
	cr_assert_eq(spawner_receive(r.spawner, &m, &r.sock), 0);
	start(&r, "true");
	cr_assert_eq(ended(&r, 60000).status, 0);
	tear_down(&r);
}

/* ---- memory */

#define HOLD                                                                             \
	"import sys, time\n"                                                             \
	"held = bytearray(b'x' * (int(sys.argv[1]) << 20))\n"                            \
	"time.sleep(float(sys.argv[2]))\n"

Test(spawner, a_tree_that_uses_more_memory_than_it_may_is_killed)
{
	struct rig r;
	set_up(&r);
	r.memory_max = 64 << 20;
	start(&r, "python3", "-c", HOLD, "200", "1000");
	struct slot_report report = ended(&r, 60000);
	cr_assert_gt(report.over_bytes, r.memory_max);
	cr_assert(WIFSIGNALED(report.status) && WTERMSIG(report.status) == SIGKILL);
	/* The next run in the slot is another one. */
	r.memory_max = 0;
	start(&r, "python3", "-c", HOLD, "200", "0");
	report = ended(&r, 60000);
	cr_assert_eq(report.over_bytes, 0);
	cr_assert_eq(report.status, 0);
	tear_down(&r);
}

Test(spawner, memory_counts_over_the_whole_tree)
{
	struct rig r;
	set_up(&r);
	r.memory_max = 128 << 20;
	start(&r, "sh", "-c",
	      "setsid python3 -c \"$0\" 80 1000 & python3 -c \"$0\" 80 1000; echo no",
	      HOLD);
	struct slot_report report = ended(&r, 60000);
	cr_assert_gt(report.over_bytes, r.memory_max);
	cr_assert_str_eq(content(r.out), "");
	tear_down(&r);
}

Test(spawner, memory_that_processes_share_counts_once_and_files_do_not)
{
	struct rig r;
	set_up(&r);
	r.memory_max = 256 << 20;
	start(&r, "python3", "-c",
	      "import mmap, os, time\n"
	      "held = bytearray(b'x' * (120 << 20))\n"
	      "with open('file', 'w+b') as f:\n"
	      "    f.truncate(300 << 20)\n"
	      "    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
	      "    sum(m[i] for i in range(0, len(m), 4096))\n"
	      "for i in range(4):\n"
	      "    if os.fork() == 0:\n"
	      "        time.sleep(1)\n"
	      "        os._exit(0)\n"
	      "for i in range(4):\n"
	      "    os.wait()\n");
	struct slot_report report = ended(&r, 60000);
	cr_assert_eq(report.over_bytes, 0);
	cr_assert_eq(report.status, 0);
	tear_down(&r);
}

/* ---- a channel */

static void check_channel(struct rig *r, const char *padding)
{
	int ends[2];
	char text[64] = "";
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	r->channel = ends[1];
	start(r, "sh", "-c", "read x <&3; echo \"got $x\" >&3; ls /proc/$$/fd", "sh",
	      padding);
	r->channel = 0;
	close(ends[1]);
	cr_assert_eq(write(ends[0], "word\n", 5), 5);
	struct slot_report report = ended(r, 60000);
	cr_assert_eq(report.status, 0, "status %d step %u error %d", report.status,
		     report.step, report.error);
	cr_assert_eq(read(ends[0], text, sizeof text - 1), 9);
	cr_assert_str_eq(text, "got word\n");
	cr_assert_eq(read(ends[0], text, sizeof text), 0, "nobody else holds its end");
	cr_assert_str_eq(content(r->out), "0\n1\n2\n3\n");
	cr_assert_eq(truncate(r->out, 0), 0);
	close(ends[0]);
}

Test(spawner, gives_a_program_its_channel_and_nothing_else)
{
	struct rig r;
	static char large[100000];
	set_up(&r);
	memset(large, 'x', sizeof large - 1);
	check_channel(&r, "");
	check_channel(&r, large); /* the strings take a descriptor, too */
	start(&r, "sh", "-c", "ls /proc/$$/fd");
	cr_assert_eq(ended(&r, 60000).status, 0);
	cr_assert_str_eq(content(r.out), "0\n1\n2\n", "the next one has none");
	tear_down(&r);
}
