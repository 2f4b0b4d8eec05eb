/* start.c - how a runner begins: a directory, a channel, its command line and environment, a slot. Values
 * of secrets are read in a thread. Its first call is given to it before it has a slot: if it cannot
 * be started, that is what the call comes to. */
#include "worker/runner/runner.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "common/task/environment.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct runner_start {
	struct job job;
	struct worker *worker;
	struct runner *runner;
	struct secrets_want secrets;
	struct buf strings;
	uint32_t argc, envc;
	int channel; /* the runner's end */
	int rc;	     /* of secrets_add() */
	struct err error;
};

static void runner_ended(struct slot_user *user, void *owner, const struct slot_report *s)
{
	struct worker *w = owner;
	struct runner *r = container_of(user, struct runner, user);
	log_debug("runner ended", "language=%s number=%u step=%u status=%d answered=%llu",
		  r->kind->language, r->number, s->step, s->status,
		  (unsigned long long)r->answered);
	while (runner_read(w, r))
		; /* its last answers; nobody else holds the other end */
	runner_end(w, r, s);
}

/* It never came to a slot. */
static void give_up(struct worker *w, struct runner *r, int error)
{
	const struct slot_report report = {.step = SLOT_STEP_REQUEST, .error = error};
	runner_end(w, r, &report);
}

static void add_text(struct buf *strings, uint32_t *countp, const char *text)
{
	buf_add(strings, text, strlen(text) + 1);
	++*countp;
}

static void make_strings(struct runner_start *s, const char *program)
{
	struct runner *r = s->runner;
	static const struct function none;
	uint32_t places = 0;
	add_text(&s->strings, &places, r->dir->paths[DIR_SELF]);
	add_text(&s->strings, &places, r->dir->paths[DIR_OUT]);
	add_text(&s->strings, &places, r->dir->paths[DIR_ERR]);
	add_text(&s->strings, &s->argc, program);
	if (*r->kind->interpreter) {
		add_text(&s->strings, &s->argc, "--python");
		add_text(&s->strings, &s->argc, r->kind->interpreter);
	}
	add_text(&s->strings, &s->argc, "serve");
	buf_add(&s->strings, r->kind->env.data, r->kind->env.size);
	s->envc = r->kind->env_count;
	environment_add(&s->strings, &s->envc, &none, "TMPDIR", r->dir->paths[DIR_TMP]);
	if (r->grant.has_gpus)
		environment_add(&s->strings, &s->envc, &none, "CUDA_VISIBLE_DEVICES",
				r->devices);
}

static void start_free(struct runner_start *s)
{
	close(s->channel);
	if (s->secrets.count)
		secrets_wipe(&s->strings);
	else
		buf_fini(&s->strings);
	free(s);
}

/* Its strings are complete: give it a slot. */
static void launch(struct worker *w, struct runner *r, struct runner_start *s)
{
	const struct slot_program program = {
		.argc = s->argc,
		.envc = s->envc,
		.strings = s->strings.data,
		.size = s->strings.size,
		.memory_max = resources_get(&r->kind->resources, "memory"),
		.channel = s->channel,
	};
	struct slot *slot = slots_take(&w->slots, NULL, &r->user);
	if (!slot) { /* somebody else took it while the secrets were read */
		give_up(w, r, EAGAIN);
		return;
	}
	r->user.run = ++w->run_count;
	int rc = slot_send_run(slot->sock, r->user.run, &program);
	if (rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN) {
		slots_broken(&w->slots, slot); /* the spawner will tell when it is gone */
	} else if (rc < 0) {
		slots_put(&w->slots, slot);
		give_up(w, r, -rc);
	}
}

static void secrets_run(struct job *job, struct job_thread *thread)
{
	struct runner_start *s = container_of(job, struct runner_start, job);
	s->rc = secrets_add(&s->strings, &s->envc, &s->secrets, &s->error);
}

static void secrets_done(struct job *job, void *owner)
{
	struct worker *w = owner;
	struct runner_start *s = container_of(job, struct runner_start, job);
	struct runner *r = s->runner;
	r->start = NULL;
	if (s->rc) {
		r->fault = mem_strdup(s->error.what);
		give_up(w, r, EACCES);
	} else if (r->state == RUNNER_DYING) {
		give_up(w, r, ECANCELED);
	} else {
		launch(w, r, s);
	}
	start_free(s);
}

static struct runner *runner_new(struct worker *w, struct kind *kind)
{
	struct pool *p = &w->pool;
	uint32_t number = 0;
	while (number < p->count && p->items[number])
		number++;
	if (number == ARRAY_LEN(p->items))
		return NULL;
	struct runner *r = mem_alloc(sizeof *r);
	r->number = number;
	r->kind = kind;
	kind_ref(kind);
	r->sock = -1;
	r->user.ended = runner_ended;
	r->since_ns = w->now_ns;
	list_init(&r->calls);
	list_add_tail(&p->runners, &r->link);
	p->items[number] = r;
	p->count = number == p->count ? p->count + 1 : p->count;
	p->alive++;
	p->starting++;
	return r;
}

static int open_channel(struct worker *w, struct runner *r, int *otherp)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	struct epoll_event event = {.events = EPOLLIN,
				    .data.u64 = LOOP_TAG(TAG_RUNNER) | r->number};
	r->sock = ends[0];
	*otherp = ends[1];
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, r->sock, &event) < 0 ? -errno : 0;
}

static int make_dir(struct worker *w, struct runner *r)
{
	CLEANUP_FREE char *results = NULL;
	int rc = dirs_take(&w->dirs, &r->dir);
	if (rc < 0) {
		r->dir = NULL;
		return rc;
	}
	dir_mark_start(r->dir);
	if (asprintf(&results, "%s/results", r->dir->paths[DIR_SELF]) < 0)
		abort();
	return mkdir(results, 0700) < 0 ? -errno : 0;
}

int runner_start(struct worker *w, struct kind *kind, const struct grant *grant,
		 const char *program, struct runner **runnerp)
{
	struct runner *r = runner_new(w, kind);
	int channel = -1, rc = r ? make_dir(w, r) : -EMFILE;
	if (rc == 0)
		rc = open_channel(w, r, &channel);
	if (rc < 0) {
		if (channel >= 0)
			close(channel);
		if (r)
			runner_free(w, r);
		return rc;
	}
	r->grant = *grant;
	r->has_grant = true;
	if (grant->has_gpus)
		grant_devices(&w->capacity, grant, r->devices, sizeof r->devices);
	struct runner_start *s = mem_alloc(sizeof *s);
	s->worker = w;
	s->runner = r;
	s->channel = channel;
	make_strings(s, program);
	runner_welcome(w, r);
	*runnerp = r;
	r->start = s;
	if (!kind->secret_count)
		return 0;
	s->secrets = (struct secrets_want){
		.names = kind->secrets,
		.count = kind->secret_count,
		.worker = w->options->name,
		.files_only = w->options->is_private,
	};
	s->job.run = secrets_run;
	s->job.done = secrets_done;
	s->job.lane = LANE_FETCH;
	jobs_submit(w->jobs, &s->job);
	return 0;
}

void runner_launch(struct worker *w, struct runner *r)
{
	struct runner_start *s = steal(r->start);
	launch(w, r, s);
	start_free(s);
}
