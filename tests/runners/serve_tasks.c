/* serve_tasks.c - functions for test_c_serve.py: what calls get, return, and do to their process. */
#include <cashet/task.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* As some libraries do when they are opened; calls find none of it. */
__attribute__((constructor)) static void opened(void)
{
	umask(0);
	chdir("/");
}

/* Makes no system call. */
int noop(struct cashet_task *task)
{
	return 0;
}

/* as_bytes() - the bytes of bytes, or of a text. */
int as_bytes(struct cashet_task *task)
{
	size_t size;
	const void *data = cashet_bytes(cashet_arg_at(task, 0), &size);
	return cashet_return_bytes(task, data, size);
}

/* show() - any argument as JSON, with what its type is called. */
static void show(struct cashet_task *task, const struct cashet_arg *arg)
{
	size_t size;
	char text[64];
	switch (cashet_type(arg)) {
	case CASHET_TYPE_MISSING:
		cashet_json_text(task, "missing");
		return;
	case CASHET_TYPE_NULL:
		cashet_json_null(task);
		return;
	case CASHET_TYPE_BOOL:
		cashet_json_bool(task, cashet_bool(arg));
		return;
	case CASHET_TYPE_INT:
		cashet_json_int(task, cashet_int(arg));
		return;
	case CASHET_TYPE_FLOAT:
		snprintf(text, sizeof text, "%a", cashet_float(arg));
		cashet_json_text(task, text);
		return;
	case CASHET_TYPE_TEXT:
		cashet_json_text(task, cashet_text(arg));
		return;
	case CASHET_TYPE_PATH:
		cashet_json_text(task, cashet_path(arg));
		return;
	case CASHET_TYPE_BYTES: {
		const unsigned char *bytes = cashet_bytes(arg, &size);
		cashet_json_array(task);
		cashet_json_int(task, (int64_t)size);
		cashet_json_int(task, size ? bytes[0] : -1);
		cashet_json_int(task, size ? bytes[size - 1] : -1);
		cashet_json_bool(task, (uintptr_t)bytes % 16 == 0 || size == 0);
		cashet_json_end(task);
		return;
	}
	case CASHET_TYPE_LIST:
		cashet_json_array(task);
		for (size_t i = 0; i < cashet_count(arg); i++)
			show(task, cashet_item(arg, i));
		cashet_json_end(task);
		return;
	case CASHET_TYPE_MAP:
		cashet_json_object(task);
		for (size_t i = 0; i < cashet_count(arg); i++) {
			const struct cashet_arg *item = cashet_item(arg, i);
			cashet_json_key(task, cashet_key(item));
			show(task, item);
		}
		cashet_json_end(task);
		return;
	}
}

int echo(struct cashet_task *task)
{
	cashet_json_array(task);
	for (size_t i = 0; i < cashet_arg_count(task); i++)
		show(task, cashet_arg_at(task, i));
	show(task, cashet_arg(task, "named"));
	cashet_json_end(task);
	return 0;
}

/* wrong() - reads `value` as what `as` says. */
int wrong(struct cashet_task *task)
{
	const struct cashet_arg *v = cashet_arg(task, "value");
	const char *as = cashet_text(cashet_arg(task, "as"));
	if (!strcmp(as, "bool"))
		cashet_bool(v);
	else if (!strcmp(as, "int"))
		cashet_int(v);
	else if (!strcmp(as, "float"))
		cashet_float(v);
	else if (!strcmp(as, "text"))
		cashet_text(v);
	else if (!strcmp(as, "bytes"))
		cashet_bytes(v, NULL);
	else if (!strcmp(as, "path"))
		cashet_path(v);
	else if (!strcmp(as, "count"))
		cashet_count(v);
	else if (!strcmp(as, "member"))
		cashet_int(cashet_member(cashet_item(v, 1), "x"));
	else if (!strcmp(as, "json"))
		cashet_json(v, NULL);
	return 0;
}

int raw_json(struct cashet_task *task)
{
	size_t size;
	const char *text = cashet_json(cashet_arg_at(task, 0), &size);
	return cashet_return_bytes(task, text, size);
}

int bytes(struct cashet_task *task)
{
	size_t left = (size_t)cashet_int(cashet_arg_at(task, 0));
	char piece[1000];
	memset(piece, 'x', sizeof piece);
	while (left > 0 && !cashet_failed(task)) {
		size_t n = left < sizeof piece ? left : sizeof piece;
		cashet_return_bytes(task, piece, n);
		left -= n;
	}
	return cashet_return_text(task, "%d%%", 7);
}

int room(struct cashet_task *task)
{
	size_t size = (size_t)cashet_int(cashet_arg_at(task, 0));
	char *room = cashet_return_room(task, size);
	for (size_t i = 0; room && i < size; i += 100)
		room[i] = 'r';
	return 0;
}

int json(struct cashet_task *task)
{
	cashet_json_object(task);
	cashet_json_key(task, "a\"\n\xc3\xa9");
	cashet_json_array(task);
	cashet_json_float(task, 0.1);
	cashet_json_float(task, -0.0);
	cashet_json_float(task, 1e300);
	cashet_json_float(task, 3);
	cashet_json_int(task, INT64_MIN);
	cashet_json_text(task, "\x01/\\");
	cashet_json_end(task);
	cashet_json_key(task, "b");
	cashet_json_object(task);
	cashet_json_end(task);
	cashet_json_end(task);
	return 0;
}

static void member(struct cashet_task *task, const char *key)
{
	cashet_json_key(task, key);
	cashet_json_int(task, 1);
}

/* keys() - objects of n different keys, in each other and behind each other; the last key comes again if @twice. */
int keys(struct cashet_task *task)
{
	int64_t n = cashet_int(cashet_arg_at(task, 0));
	cashet_json_array(task);
	for (int object = 0; object < 3; object++) {
		cashet_json_object(task);
		for (int64_t i = 0; i < n; i++) {
			char key[40];
			snprintf(key, sizeof key, "\"%" PRId64, i);
			cashet_json_key(task, key);
			cashet_json_object(task);
			member(task, key);
			cashet_json_end(task);
		}
		member(task, "");
		if (object == 2 && cashet_bool(cashet_arg_at(task, 1)))
			member(task, cashet_text(cashet_arg_at(task, 2)));
		cashet_json_end(task);
	}
	cashet_json_end(task);
	return 0;
}

/* bad_result() - the n-th way to return what is no result. */
int bad_result(struct cashet_task *task)
{
	switch (cashet_int(cashet_arg_at(task, 0))) {
	case 0:
		cashet_json_float(task, NAN);
		break;
	case 1:
		cashet_json_object(task);
		break;
	case 2:
		cashet_json_object(task);
		cashet_json_int(task, 1);
		break;
	case 3:
		cashet_json_int(task, 1);
		cashet_json_int(task, 2);
		break;
	case 4:
		cashet_json_end(task);
		break;
	case 5:
		cashet_json_text(task, "\xff");
		break;
	case 6:
		cashet_return_bytes(task, "x", 1);
		cashet_json_null(task);
		break;
	case 7:
		cashet_return_room(task, 4);
		cashet_return_room(task, 4);
		break;
	case 8:
		cashet_json_key(task, "x");
		break;
	case 9:
		for (int i = 0; i < 100; i++)
			cashet_json_array(task);
		break;
	case 10:
		cashet_json_object(task);
		cashet_json_key(task, "x");
		cashet_json_end(task);
		break;
	}
	return 0;
}

int failing(struct cashet_task *task)
{
	printf("so far\n");
	cashet_json_int(task, 1);
	cashet_fail(task, "it is %d", 42);
	return cashet_fail(task, "never seen");
}

int returns_three(struct cashet_task *task)
{
	return 3;
}

int info(struct cashet_task *task)
{
	const struct cashet_info *i = cashet_info(task);
	char cwd[4096];
	cashet_json_array(task);
	cashet_json_text(task, i->name);
	cashet_json_text(task, i->batch);
	cashet_json_int(task, i->index);
	cashet_json_int(task, i->attempt);
	cashet_json_bool(task, getcwd(cwd, sizeof cwd) && !strcmp(cwd, i->directory));
	cashet_json_text(task, i->checkpoint);
	cashet_json_text(task, getenv("CASHET_TASK"));
	cashet_json_text(task, getenv("CASHET_INDEX"));
	cashet_json_text(task, getenv("CASHET_ATTEMPT"));
	cashet_json_bool(task, !strcmp(getenv("CASHET_BATCH"), i->batch));
	cashet_json_bool(task, !strcmp(getenv("CASHET_CHECKPOINT"), i->checkpoint));
	cashet_json_end(task);
	return 0;
}

int print(struct cashet_task *task)
{
	int64_t n = cashet_int(cashet_arg_at(task, 0));
	for (int64_t i = 0; i < n; i++)
		printf("line %" PRId64 "\n", i);
	fprintf(stderr, "to people");
	return 0;
}

static int calls;

int counter(struct cashet_task *task)
{
	cashet_json_int(task, ++calls);
	return 0;
}

/* mess() - changes what it can of the process. */
int mess(struct cashet_task *task)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t all;
	sigfillset(&all);
	fclose(fopen("left", "w"));
	mkdir("folder", 0700);
	fclose(fopen("folder/deep", "w"));
	FILE *f = fopen(getenv("TMPDIR") ? "../tmp/left" : "left2", "w");
	if (f)
		fclose(f);
	printf("printed");
	chdir("/");
	umask(0);
	setenv("HOME", "/nowhere", 1);
	setenv("MESSED", "1", 1);
	unsetenv("PATH");
	setenv("TZ", "XYZ+7", 1);
	tzset();
	setlocale(LC_ALL, "C.UTF-8");
	uselocale(newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0));
	const struct itimerval soon = {.it_value = {.tv_sec = 1000}};
	setitimer(ITIMER_PROF, &soon, NULL);
	setitimer(ITIMER_VIRTUAL, &soon, NULL);
	sigaction(SIGUSR1, &ignore, NULL);
	sigaction(SIGFPE, &ignore, NULL);
	sigaction(SIGTERM, &ignore, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	alarm(1000);
	close(0);
	close(1);
	open("/dev/null", O_WRONLY);
	close(2);
	return 0;
}

/* clean() - is everything as it should be? */
int clean(struct cashet_task *task)
{
	struct sigaction term, interrupt, user, arithmetic;
	struct itimerval prof, virtual;
	sigset_t mask;
	mode_t m = umask(022);
	sigaction(SIGTERM, NULL, &term);
	sigaction(SIGINT, NULL, &interrupt);
	sigaction(SIGUSR1, NULL, &user);
	sigaction(SIGFPE, NULL, &arithmetic);
	getitimer(ITIMER_PROF, &prof);
	getitimer(ITIMER_VIRTUAL, &virtual);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	const char *home = getenv("HOME");
	time_t start = 0;
	struct tm then;
	localtime_r(&start, &then);
	printf("seen");
	cashet_json_array(task);
	cashet_json_bool(task, access("left", F_OK) != 0 && access("folder", F_OK) != 0);
	cashet_json_bool(task, access("../tmp/left", F_OK) != 0);
	cashet_json_bool(task, m != 0);
	cashet_json_bool(task, home && strcmp(home, "/nowhere"));
	cashet_json_bool(task, !getenv("MESSED") && getenv("PATH"));
	cashet_json_bool(task, strcmp(then.tm_zone, "XYZ"));
	cashet_json_bool(task,
			 term.sa_handler == SIG_DFL && interrupt.sa_handler == SIG_DFL);
	cashet_json_bool(task, !sigismember(&mask, SIGTERM));
	cashet_json_bool(task, alarm(0) == 0);
	cashet_json_bool(task, fcntl(0, F_GETFD) >= 0);
	cashet_json_bool(task, !strcmp(setlocale(LC_ALL, NULL), "C"));
	cashet_json_bool(task, uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
	cashet_json_bool(task, !prof.it_value.tv_sec && !virtual.it_value.tv_sec);
	cashet_json_bool(task,
			 user.sa_handler == SIG_DFL && arithmetic.sa_handler == SIG_DFL);
	cashet_json_end(task);
	return 0;
}

int segfault(struct cashet_task *task)
{
	printf("before");
	fflush(stdout);
	volatile int *nowhere = (int *)(uintptr_t)8;
	return *nowhere;
}

int aborts(struct cashet_task *task)
{
	abort();
}

int exits(struct cashet_task *task)
{
	printf("before");
	exit((int)cashet_int(cashet_arg_at(task, 0)));
}

int leaves_at_once(struct cashet_task *task)
{
	_exit(9);
}

int leaves_a_child(struct cashet_task *task)
{
	if (fork() == 0) {
		for (;;)
			pause();
	}
	return 0;
}

int leaves_descriptors(struct cashet_task *task)
{
	for (int64_t n = cashet_int(cashet_arg_at(task, 0)); n > 0; n--)
		if (dup(STDIN_FILENO) < 0)
			return cashet_fail(task, "no more descriptors");
	return 0;
}

int closes_all(struct cashet_task *task)
{
	for (int i = 3; i < 1 << 16; i++)
		close(i);
	return 0;
}

int closes_streams(struct cashet_task *task)
{
	fclose(stdout);
	return 0;
}

int writes_to_argument(struct cashet_task *task)
{
	char *data = (char *)(uintptr_t)cashet_bytes(cashet_arg_at(task, 0), NULL);
	data[0] = 'X';
	return 0;
}

static void *work(void *arg)
{
	*(int *)arg += 5;
	return NULL;
}

int threads(struct cashet_task *task)
{
	pthread_t thread;
	int value = 1;
	if (pthread_create(&thread, NULL, work, &value))
		return cashet_fail(task, "no thread");
	pthread_join(thread, NULL);
	cashet_json_int(task, value);
	return 0;
}
