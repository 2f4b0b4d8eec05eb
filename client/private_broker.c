/* private_broker.c - see private_broker.h.
 *
 * The daemon is made by a double fork, so that it is nobody's child; between fork and exec only
 * async-signal-safe calls are made, since the process that we live in may have threads. The pid
 * comes back through a pipe that exec closes; a pidfd then tells when a broker that was started
 * has died, so that a broken store is reported at once and not after the whole wait. */
#include "client/private_broker.h"

#include "client/program.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "cashet-broker"
#define POLL_FIRST_NS (2 * NS_PER_MS)
#define POLL_LAST_NS (50 * NS_PER_MS)
#define LOG_TAIL 700 /* bytes of the broker's log that an error quotes */

/* 0 if somebody accepts connections at @path. */
static int probe(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
	close(fd);
	return r == -EAGAIN ? 0 : r; /* its backlog is full: it is alive */
}

/* The socket may live elsewhere when its path would be too long; run/socket says where. */
static char *socket_path(const char *dir)
{
	char *file = NULL, *path = NULL;
	if (asprintf(&file, "%s/run/socket", dir) < 0)
		return NULL;
	CLEANUP_BUF struct buf text = {0};
	int r = fs_read_file(file, 4096, &text);
	free(file);
	while (text.size && strchr("\r\n \t", text.data[text.size - 1]))
		text.size--;
	if (r == 0 && text.size)
		return strdup(buf_cstr(&text));
	if (asprintf(&path, "%s/run/broker.sock", dir) < 0)
		return NULL;
	return path;
}

/* Return: 0 with *@urlp set if the store's broker accepts; 1 if not; ERR_FAILED. */
static int look(const char *dir, char **urlp, struct err *e)
{
	char *path = socket_path(dir);
	if (!path)
		return err_set(e, ERR_FAILED, "out of memory");
	int r = probe(path);
	if (r == -EACCES || r == -EPERM)
		r = err_set(e, ERR_NOT_ALLOWED, "%s belongs to somebody else: %s", path,
			    strerror(-r));
	else if (r)
		r = 1;
	else if (asprintf(urlp, "ipc://%s", path) < 0)
		r = err_set(e, ERR_FAILED, "out of memory");
	free(path);
	return r;
}

/* $CASHET_BROKER_PROGRAM, beside the running program, of the library's installation, in PATH. */
static char *find_program(struct err *e)
{
	const char *said = getenv("CASHET_BROKER_PROGRAM");
	if (said && *said) {
		if (access(said, X_OK) == 0) {
			char *copy = strdup(said);
			if (!copy)
				err_set(e, ERR_FAILED, "out of memory");
			return copy;
		}
		err_set(e, ERR_UNREACHABLE, "CASHET_BROKER_PROGRAM names %s: %s", said,
			strerror(errno));
		return NULL;
	}
	char *path = program_find(PROGRAM);
	if (!path) {
		err_set(e, ERR_UNREACHABLE,
			"no broker runs for this store, and " PROGRAM
			" is neither beside this program nor in PATH");
		err_next(e, "install " PROGRAM ", or name it in CASHET_BROKER_PROGRAM");
	}
	return path;
}

/* Only async-signal-safe calls from here to exec. @report tells the pid, or later an errno. */
static void become_broker(char *const argv[], int log, int report)
{
	setsid();
	pid_t pid = fork();
	if (pid)
		_exit(pid < 0);
	int32_t message[2] = {0, getpid()};
	if (write(report, message, sizeof message) != sizeof message)
		_exit(1);
	int null = open("/dev/null", O_RDWR);
	/* Out of the way of 0 to 2 first: the host may have started without them. */
	log = fcntl(log, F_DUPFD, 10);
	report = fcntl(report, F_DUPFD_CLOEXEC, 10);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	dup2(report, 3);
	syscall(SYS_close_range, 4u, ~0u, 0u);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	struct sigaction plain = {.sa_handler = SIG_DFL};
	for (int sig = 1; sig < 32; sig++)
		sigaction(sig, &plain, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/") < 0)
		_exit(1);
	umask(077);
	execv(argv[0], argv);
	message[0] = errno;
	if (write(3, message, sizeof message) < 0)
		_exit(126);
	_exit(127);
}

static int read_message(int fd, int32_t message[2])
{
	ssize_t r;
	do
		r = read(fd, message, 2 * sizeof *message);
	while (r < 0 && errno == EINTR);
	return r == 2 * sizeof *message ? 0 : 1;
}

/* Return: 0 with a pidfd (or -1 where the kernel has none) of the new broker. */
static int start(const char *dir, int *pidfdp, struct err *e)
{
	char *program = find_program(e);
	if (!program)
		return ERR_UNREACHABLE;
	int r = 0, fds[2] = {-1, -1}, log = -1;
	char *log_path = NULL, *run = NULL;
	char store_option[] = "--store", private_option[] = "--private";
	char *dir_copy = strdup(dir);
	char *argv[] = {program, store_option, dir_copy, private_option, NULL};
	if (!dir_copy || asprintf(&run, "%s/run", dir) < 0 ||
	    asprintf(&log_path, "%s/broker.log", run) < 0) {
		r = err_set(e, ERR_FAILED, "out of memory");
		goto out;
	}
	r = fs_mkdir_p(run, 0700);
	if (r < 0) {
		r = err_set(e, ERR_FAILED, "%s cannot be made: %s", run, strerror(-r));
		err_next(e, "name another store with --store DIR or CASHET_DIR");
		goto out;
	}
	log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		r = err_set(e, ERR_FAILED, "%s: %s", log < 0 ? log_path : "pipe",
			    strerror(errno));
		if (log < 0)
			err_next(e, "name another store with --store DIR or CASHET_DIR");
		goto out;
	}
	pid_t pid = fork();
	if (pid == 0) {
		become_broker(argv, log, fds[1]);
		_exit(127);
	}
	close(fds[1]);
	fds[1] = -1;
	if (pid < 0) {
		r = err_set(e, ERR_FAILED, "no process for the broker: %s",
			    strerror(errno));
		goto out;
	}
	int32_t message[2];
	bool began = read_message(fds[0], message) == 0;
	if (began)
		*pidfdp = (int)syscall(SYS_pidfd_open, message[1], 0u);
	if (!began)
		r = err_set(e, ERR_FAILED, "no process for the broker");
	else if (read_message(fds[0], message) == 0)
		r = err_set(e, ERR_UNREACHABLE, "%s cannot be run: %s", program,
			    strerror(message[0]));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
out:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (log >= 0)
		close(log);
	free(program);
	free(dir_copy);
	free(run);
	free(log_path);
	return r;
}

static bool has_died(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return pidfd >= 0 && poll(&p, 1, 0) == 1;
}

/* The last lines that the broker wrote since @from, which is how long its log was before. */
static void log_tail(const char *dir, int64_t from, struct buf *out)
{
	char *path = NULL;
	if (asprintf(&path, "%s/run/broker.log", dir) < 0)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return;
	int64_t end = lseek(fd, 0, SEEK_END);
	bool cut = end - from > LOG_TAIL;
	if (cut)
		from = end - LOG_TAIL;
	char text[LOG_TAIL];
	int64_t size = end <= from || lseek(fd, from, SEEK_SET) < 0
			       ? 0
			       : fs_read_full(fd, text, sizeof text);
	close(fd);
	int64_t at = 0;
	while (cut && at < size && text[at++] != '\n')
		;
	while (size > at && text[size - 1] == '\n')
		size--;
	if (size > at)
		buf_add(out, text + at, (size_t)(size - at));
}

static int64_t log_size(const char *dir)
{
	char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s/run/broker.log", dir) < 0)
		return 0;
	int64_t size = stat(path, &st) == 0 ? st.st_size : 0;
	free(path);
	return size;
}

bool private_broker_serves(const char *dir)
{
	char *path = NULL;
	if (asprintf(&path, "%s/run/lock", dir) < 0)
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return false;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return held;
}

/* why_silent() - a broker that ended without a word could not write one, perhaps: what it would have met,
 * and a line for those who look there. Return: an errno, or 0 if nothing is wrong with its log. */
static int why_silent(const char *dir)
{
	static const char line[] = "cashet: this broker ended without a word\n";
	char *path = NULL;
	if (asprintf(&path, "%s/run/broker.log", dir) < 0)
		return 0;
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK);
	free(path);
	int rc = fd < 0 ? -errno : fs_write_all(fd, line, sizeof line - 1);
	if (fd >= 0)
		close(fd);
	return -rc;
}

static int gave_up(const char *dir, int64_t log_from, const char *why, bool ended,
		   struct err *e)
{
	CLEANUP_BUF struct buf tail = {0};
	log_tail(dir, log_from, &tail);
	int error = tail.size || !ended ? 0 : why_silent(dir);
	if (error) {
		err_set(e, ERR_UNREACHABLE,
			"the private broker of %s %s: nothing can be written there: %s",
			dir, why, strerror(error));
		err_next(e,
			 error == ENOSPC || error == EDQUOT
				 ? "make room on that disk and try again, or name "
				   "another store with --store DIR or CASHET_DIR"
				 : "name another store with --store DIR or CASHET_DIR");
		return ERR_UNREACHABLE;
	}
	err_set(e, ERR_UNREACHABLE, "the private broker of %s %s%s%s", dir, why,
		tail.size ? "; it said:\n" : "", buf_cstr(&tail));
	err_next(e, "see %s/run/broker.log, or start one by hand: " PROGRAM " --store %s",
		 dir, dir);
	return ERR_UNREACHABLE;
}

/* Waits until a broker answers. When ours has died and nobody holds the store, there is none to
 * wait for; once, it may have given way to one that was just leaving, so one more is started. */
static int wait_for_answer(const struct private_broker *p, int *pidfdp, int64_t log_from,
			   char **urlp, struct err *e)
{
	uint64_t until = clock_mono_ns() + p->wait_ns, pause = POLL_FIRST_NS;
	bool again = false;
	for (;;) {
		bool over = has_died(*pidfdp) && !private_broker_serves(p->dir);
		int r = look(p->dir, urlp, e);
		if (r != 1)
			return r;
		if (p->interrupted && p->interrupted(p->interrupted_arg))
			return err_set(e, ERR_DETACHED,
				       "interrupted before a broker answered");
		if (over && again) {
			if (p->endedp)
				*p->endedp = true;
			return gave_up(p->dir, log_from,
				       "ended as soon as it was started", true, e);
		}
		if (over) {
			again = true;
			close(*pidfdp);
			*pidfdp = -1;
			log_from = log_size(p->dir); /* the second one says it again */
			r = start(p->dir, pidfdp, e);
			if (r)
				return r;
		}
		if (clock_mono_ns() >= until)
			return gave_up(p->dir, log_from, "does not answer", false, e);
		struct timespec t = {.tv_nsec = (long)pause};
		nanosleep(&t, NULL);
		pause = pause * 2 > POLL_LAST_NS ? POLL_LAST_NS : pause * 2;
	}
}

/* Somebody holds the store and has a socket: no need to knock, a connection will tell. */
static int look_quickly(const char *dir, char **urlp, struct err *e)
{
	struct stat st;
	if (!private_broker_serves(dir))
		return 1;
	char *path = socket_path(dir);
	int r = 1;
	if (!path || (stat(path, &st) == 0 && asprintf(urlp, "ipc://%s", path) < 0))
		r = err_set(e, ERR_FAILED, "out of memory");
	else if (*urlp)
		r = 0;
	free(path);
	return r;
}

int private_broker_find(const struct private_broker *p, char **urlp, struct err *e)
{
	*urlp = NULL;
	int r = look_quickly(p->dir, urlp, e);
	if (r != 1)
		return r;
	struct stat st;
	if (p->must_exist && stat(p->dir, &st) < 0) {
		err_set(e, ERR_NOT_FOUND, "there is no store at %s: %s", p->dir,
			strerror(errno));
		err_next(e, "submit something first, or say where it is: --store DIR or "
			    "--broker URL");
		return ERR_NOT_FOUND;
	}
	if (!p->may_start)
		return err_set(e, ERR_UNREACHABLE, "no broker runs for %s", p->dir);
	int64_t log_from = log_size(p->dir);
	int pidfd = -1;
	r = start(p->dir, &pidfd, e);
	if (r == 0)
		r = wait_for_answer(p, &pidfd, log_from, urlp, e);
	if (pidfd >= 0)
		close(pidfd);
	return r;
}
