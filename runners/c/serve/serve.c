/* serve.c - the loop: a frame, what it asks for, the next. */
#include "runners/c/serve/serve.h"

#include "common/fs.h"
#include "common/json_read.h"
#include "common/pure/mem.h"
#include "runners/c/serve/runner.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INLINE_MAX_DEFAULT (64u << 10)
#define INLINE_MAX_LIMIT (16u << 20)

struct welcome {
	int64_t protocol, inline_max;
	char dir[PATH_MAX];
};

static int wrong(const char *what)
{
	fprintf(stderr, "cashet-runner-c: %s\n", what);
	return RUNNER_EXIT_PROTOCOL;
}

static bool is_key(const struct json_token *t, const char *text)
{
	return t->size == strlen(text) && !memcmp(t->text, text, t->size);
}

static int read_welcome_field(struct welcome *w, struct json_reader *r,
			      const struct json_token *key)
{
	int64_t *number = is_key(key, "protocol")     ? &w->protocol
			  : is_key(key, "inline_max") ? &w->inline_max
						      : NULL;
	bool dir = is_key(key, "dir");
	struct json_token value;
	if (json_next(r, &value))
		return 1;
	if (number && value.type == JSON_INT) {
		*number = value.i;
		return 0;
	}
	if (dir && value.type == JSON_STRING && value.size < sizeof w->dir) {
		memcpy(w->dir, value.text, value.size);
		w->dir[value.size] = '\0';
		return 0;
	}
	return number || dir ? 1 : json_skip(r, &value);
}

static int read_welcome(struct welcome *w, struct frame_bytes json)
{
	struct json_reader r;
	struct json_token t;
	*w = (struct welcome){.inline_max = INLINE_MAX_DEFAULT};
	json_reader_init(&r, json.data, json.size);
	int status = json_next(&r, &t) || t.type != JSON_OBJECT;
	while (!status && !(status = json_next(&r, &t)) && t.type == JSON_KEY)
		status = read_welcome_field(w, &r, &t);
	json_reader_fini(&r);
	return status || w->dir[0] != '/' || w->inline_max < 0 ||
	       w->inline_max > INLINE_MAX_LIMIT;
}

/* open_places() - the folders and files below DIR. Return: 0 or a negative errno; *@what is which. */
static int open_places(struct runner *r, const char *dir, const char **what)
{
	CLEANUP_BUF struct buf path = {0};
	buf_printf(&path, "%s/results", dir);
	*what = "results";
	int status = fs_mkdir_p(buf_cstr(&path), 0700);
	if (status < 0)
		return status;
	int fd = open(buf_cstr(&path), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r->results = output_keep_high(fd);
	close(fd);
	if (r->results < 0)
		return r->results;
	*what = "out";
	if ((status = output_init(&r->out, dir, "out", STDOUT_FILENO)) < 0)
		return status;
	*what = "err";
	if ((status = output_init(&r->err, dir, "err", STDERR_FILENO)) < 0)
		return status;
	return state_init(&r->state, dir, what);
}

static int welcomed(struct runner *r, struct frame_bytes json)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_BUF struct buf frame = {0};
	struct welcome w;
	const char *what = "";
	if (read_welcome(&w, json))
		return wrong("the worker's welcome cannot be read");
	if (w.protocol != SERVE_PROTOCOL)
		return wrong(
			"the worker speaks another protocol than 1: cashet-worker and "
			"cashet-runner-c must be of one version");
	r->inline_max = (size_t)w.inline_max;
	int status = open_places(r, w.dir, &what);
	if (status < 0) {
		fprintf(stderr, "cashet-runner-c: %s/%s: %s\n", w.dir, what,
			strerror(-status));
		return RUNNER_EXIT_SPENT;
	}
	buf_printf(&text,
		   "{\"protocol\":%d,\"language\":\"c\",\"version\":\"%s\",\"pid\":%d}",
		   SERVE_PROTOCOL, CASHET_VERSION, (int)getpid());
	frame_add_json(&frame, FRAME_READY, (const char *)text.data, text.size);
	return channel_send(&r->channel, &frame) < 0 ? RUNNER_EXIT_SPENT : 0;
}

static int pong(struct runner *r, uint64_t token)
{
	buf_reset(&r->answer);
	frame_add_token(&r->answer, FRAME_PONG, token);
	return channel_send(&r->channel, &r->answer) < 0 ? RUNNER_EXIT_SPENT : 0;
}

/* handle() - one frame. Return: 0; -1 to end well; an exit status. */
static int handle(struct runner *r, const struct frame *f, bool first)
{
	if (first != (f->type == FRAME_WELCOME))
		return wrong("the first frame, and no other, must be the welcome");
	switch (f->type) {
	case FRAME_WELCOME:
		return welcomed(r, f->json);
	case FRAME_LOAD:
		libraries_load(&r->libraries, &f->load);
		return 0;
	case FRAME_CALL:
		return runner_call(r, &f->call);
	case FRAME_PING:
		return pong(r, f->token);
	case FRAME_QUIT:
		return -1;
	case FRAME_READY:
	case FRAME_DONE:
	case FRAME_ERROR:
	case FRAME_PONG:
		break;
	}
	return wrong("the worker sent a frame that only runners send");
}

static struct runner *running; /* what pthread_atfork() gives nobody */

static void exiting(int status, void *runner)
{
	runner_exiting(runner, status);
}

static void forked(void)
{
	runner_left(running);
}

static int loop(struct runner *r)
{
	struct frame f;
	int status, got = 1;
	for (bool first = true;; first = false) {
		got = channel_next(&r->channel, &f);
		if (got <= 0)
			break;
		if ((status = handle(r, &f, first)))
			return status < 0 ? 0 : status;
	}
	if (got == 0 || got == -ECONNRESET)
		return 0;
	fprintf(stderr, "cashet-runner-c: what the worker sent cannot be read: %s\n",
		strerror(-got));
	return RUNNER_EXIT_PROTOCOL;
}

int serve(void)
{
	/* On the heap: what a function writes beyond its stack is not ours. */
	struct runner *r = mem_alloc(sizeof *r);
	int status = channel_init(&r->channel, SERVE_DESCRIPTOR);
	if (status < 0) {
		free(r);
		fprintf(stderr,
			"cashet-runner-c: descriptor %d is no socket of a worker (%s); "
			"serve is "
			"started by cashet-worker\n",
			SERVE_DESCRIPTOR, strerror(-status));
		return 2;
	}
	running = r;
	on_exit(exiting, r);
	pthread_atfork(NULL, NULL, forked);
	status = loop(r);
	r->calling = false; /* all that exiting() looks at; it may still come */
	channel_fini(&r->channel);
	state_fini(&r->state);
	output_fini(&r->out);
	output_fini(&r->err);
	libraries_fini(&r->libraries);
	task_fini(&r->task);
	buf_fini(&r->answer);
	return status;
}
