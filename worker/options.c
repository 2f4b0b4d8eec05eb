/* options.c - see options.h. Capacity that is not given is what this process may use: the cores of
 * its affinity mask and cgroup quota, and nine tenths of the memory of machine or cgroup. */
#include "worker/options.h"

#include "common/names.h"
#include "common/num.h"
#include "common/pure/mem.h"
#include "common/usage.h"
#include "proto/endpoint.h"
#include "version.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "cashet-worker"
#define CACHE_BYTES (2ull << 30)
#define CHECKPOINT_BYTES (4ull << 30)

/* ---- what there is */

static uint64_t read_number(const char *path)
{
	char text[64];
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	uint64_t value = 0;
	if (fgets(text, sizeof text, f))
		value = strtoull(text, NULL, 10); /* "max" is 0 */
	fclose(f);
	return value;
}

static uint64_t available_milli_cpus(void)
{
	cpu_set_t set;
	uint64_t milli = 1000;
	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
		milli = 1000 * (uint64_t)CPU_COUNT(&set);
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
	if (!f)
		return milli;
	unsigned long long quota, period;
	if (fscanf(f, "%llu %llu", &quota, &period) == 2 && quota && period) {
		uint64_t limit = quota * 1000 / period;
		if (limit < milli)
			milli = limit < 1000 ? 1000 : limit / 1000 * 1000;
	}
	fclose(f);
	return milli;
}

static uint64_t available_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
	uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
	if (limit && limit < bytes)
		bytes = limit;
	return bytes / 10 * 9;
}

/* ---- what was typed */

static int bad(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, PROGRAM ": --%s %s: %s is expected\n", option, value, wanted);
	return ERR_USAGE;
}

/* parse_milli() - "2", "0.5"; at most 1,000,000. */
static int parse_milli(const char *text, uint64_t *milli)
{
	char *end;
	if (*text < '0' || *text > '9')
		return 1;
	double value = strtod(text, &end);
	if (*end || !(value >= 0 && value <= 1000000))
		return 1;
	*milli = (uint64_t)(value * 1000 + 0.5);
	return 0;
}

static int parse_index(const char **atp, uint32_t *value)
{
	char *end;
	if (**atp < '0' || **atp > '9')
		return 1;
	unsigned long n = strtoul(*atp, &end, 10);
	if (n > 4096)
		return 1;
	*atp = end;
	*value = (uint32_t)n;
	return 0;
}

static int parse_gpus(struct capacity *c, const char *text)
{
	const char *at = text;
	uint32_t value;
	if (parse_index(&at, &value))
		return 1;
	if (!*at) { /* a number of devices */
		for (uint32_t i = 0; i < value; i++)
			if (capacity_add_gpu(c, i))
				return 1;
		return 0;
	}
	for (;;) {
		if (capacity_add_gpu(c, value))
			return 1;
		if (!*at || (*at == ',' && !at[1]))
			return 0;
		if (*at++ != ',' || parse_index(&at, &value))
			return 1;
	}
}

static int parse_resource(struct capacity *c, const char *text)
{
	const char *equal = strchr(text, '=');
	char name[RESOURCE_NAME_MAX];
	uint64_t milli;
	if (!equal || equal == text || (size_t)(equal - text) >= sizeof name)
		return 1;
	memcpy(name, text, (size_t)(equal - text));
	name[equal - text] = '\0';
	if (!names_valid(name, false) || !strcmp(name, "cpus") ||
	    !strcmp(name, "memory") || !strcmp(name, "gpus"))
		return 1;
	return parse_milli(equal + 1, &milli) || capacity_add(c, name, milli);
}

/* NAME=PATH. */
static int parse_python(struct options *o, const char *text)
{
	const char *equal = strchr(text, '=');
	if (!equal || equal == text || equal[1] != '/' ||
	    memchr(text, '/', (size_t)(equal - text)))
		return 1;
	mem_grow(o->pythons, o->python_count, o->python_capacity);
	o->pythons[o->python_count++] = mem_strdup(text);
	return 0;
}

const char *options_python(const struct options *o, const char *name)
{
	size_t size = name ? strlen(name) : 0;
	for (size_t i = o->python_count; size && i > 0; i--) {
		const char *text = o->pythons[i - 1];
		if (strncmp(text, name, size) == 0 && text[size] == '=')
			return text + size + 1;
	}
	return name;
}

static void set_text(char **place, const char *text)
{
	free(*place);
	*place = mem_strdup(text);
}

static int parse_one(struct options *o, int option, const char *name, const char *value)
{
	uint64_t number;
	switch ((enum worker_flag)option) {
	case WORKER_BROKER:
		set_text(&o->broker, value);
		return -1;
	case WORKER_NAME:
		if (!names_valid(value, true))
			return bad(name, value,
				   "a name of letters, digits, '_', '-', '.'");
		set_text(&o->name, value);
		return -1;
	case WORKER_CPUS:
		if (parse_milli(value, &number) || number == 0)
			return bad(name, value, "a number above 0");
		return capacity_add(&o->capacity, "cpus", number) ? ERR_USAGE : -1;
	case WORKER_MEMORY:
		if (num_parse_size(value, &number) || number == 0)
			return bad(name, value, "a size as 8GiB");
		return capacity_add(&o->capacity, "memory", number) ? ERR_USAGE : -1;
	case WORKER_GPUS:
		if (parse_gpus(&o->capacity, value))
			return bad(name, value, "a number, or device indices as 0,2,3");
		return -1;
	case WORKER_RESOURCE:
		if (parse_resource(&o->capacity, value))
			return bad(name, value, "NAME=NUMBER of an own name");
		return -1;
	case WORKER_PYTHON:
		if (parse_python(o, value))
			return bad(name, value, "NAME=PATH with an absolute path");
		return -1;
	case WORKER_WORK_DIR:
		set_text(&o->work_dir, value);
		o->work_dir_given = true;
		return -1;
	case WORKER_CACHE_SIZE:
		if (num_parse_size(value, &o->cache_bytes))
			return bad(name, value, "a size as 2GiB");
		return -1;
	case WORKER_CHECKPOINT_MAX:
		if (num_parse_size(value, &o->checkpoint_bytes))
			return bad(name, value, "a size as 4GiB, or 0");
		return -1;
	case WORKER_KEY:
		set_text(&o->key_file, value);
		return -1;
	case WORKER_INSECURE:
		o->insecure = true;
		return -1;
	case WORKER_DRAIN_TIMEOUT:
		if (num_parse_duration(value, &o->drain_timeout_ns))
			return bad(name, value, "a time as 30s or 10m");
		return -1;
	case WORKER_PRIVATE:
		o->is_private = true;
		return -1;
	case WORKER_LOG_LEVEL:
		if (log_level_parse(value, &o->log_level))
			return bad(name, value, "error, warn, info or debug");
		return -1;
	case WORKER_VERSION:
		puts(PROGRAM " " CASHET_VERSION);
		return ERR_NONE;
	case WORKER_HELP:
		daemon_help(&daemon_worker);
		return ERR_NONE;
	case WORKER_FLAGS:
		break;
	}
	return ERR_USAGE;
}

static void suggest(const char *word)
{
	const char *near =
		strncmp(word, "--", 2) == 0 ? daemon_suggest(&daemon_worker, word) : NULL;
	fprintf(stderr, PROGRAM ": unknown option %s%s%s%s\n", word,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
	fputs("  cashet-worker --help lists the options\n", stderr);
}

/* What was not said: from the environment and the machine. */
static int complete(struct options *o)
{
	const char *broker = getenv("CASHET_BROKER");
	if (!o->broker && broker && *broker)
		o->broker = mem_strdup(broker);
	if (!o->broker) {
		fputs(PROGRAM
		      ": which broker?\n  cashet-worker --broker tcp://HOST:7410\n",
		      stderr);
		return ERR_USAGE;
	}
	const char *insecure = getenv("CASHET_INSECURE");
	if (insecure && *insecure && strcmp(insecure, "0") != 0)
		o->insecure = true;
	struct err e = {0};
	if (endpoint_check(o->broker, &e)) {
		err_print(&e, PROGRAM);
		return (int)e.code;
	}
	if (!o->name) {
		char host[256] = "";
		gethostname(host, sizeof host - 1);
		set_text(&o->name, names_valid(host, true) ? host : "worker");
	}
	if (!resources_get(&o->capacity.total, "cpus"))
		capacity_add(&o->capacity, "cpus", available_milli_cpus());
	if (!resources_get(&o->capacity.total, "memory"))
		capacity_add(&o->capacity, "memory", available_memory());
	if (!o->work_dir) {
		const char *tmp = getenv("TMPDIR");
		if (!tmp || tmp[0] != '/')
			tmp = "/var/tmp";
		if (asprintf(&o->work_dir, "%s/cashet-%u/%s-%d", tmp, geteuid(), o->name,
			     getpid()) < 0)
			abort();
	} else if (o->work_dir[0] != '/') {
		char *cwd = getcwd(NULL, 0), *path;
		if (!cwd || asprintf(&path, "%s/%s", cwd, o->work_dir) < 0)
			abort();
		free(cwd);
		free(o->work_dir);
		o->work_dir = path;
	}
	return -1;
}

int options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){.cache_bytes = CACHE_BYTES,
			      .checkpoint_bytes = CHECKPOINT_BYTES,
			      .drain_timeout_ns = TIME_NEVER,
			      .log_level = LOG_INFO};
	struct option table[DAEMON_FLAGS_MAX + 1];
	daemon_getopt(&daemon_worker, table);
	opterr = 0;
	for (;;) {
		int at = optind, index = 0;
		int option = getopt_long(argc, argv, ":", table, &index);
		if (option == -1)
			break;
		if (option == ':') {
			fprintf(stderr, PROGRAM ": %s needs a value\n", argv[at]);
			return ERR_USAGE;
		}
		if (option == '?') {
			suggest(argv[at]);
			return ERR_USAGE;
		}
		int rc = parse_one(o, option - DAEMON_FLAG, table[index].name, optarg);
		if (rc >= 0)
			return rc;
	}
	if (optind < argc) {
		fprintf(stderr, PROGRAM ": unexpected argument %s\n", argv[optind]);
		return ERR_USAGE;
	}
	return complete(o);
}

void options_fini(struct options *o)
{
	free(o->broker);
	free(o->name);
	free(o->key_file);
	free(o->work_dir);
	for (size_t i = 0; i < o->python_count; i++)
		free(o->pythons[i]);
	free(o->pythons);
	*o = (struct options){0};
}
