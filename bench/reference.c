/* reference.c - what the machine can do without cashet: each benchmark's figure is
 * printed beside one of these, measured in the same run, because absolute times say more
 * about the machine.
 *
 *   reference rtt DIR            round trips of one small message between two processes
 * over ipc reference fsync DIR          commits of one small row: SQLite, WAL,
 * synchronous=FULL reference journal DIR N      client -> broker -> worker -> broker ->
 * client over ipc in batches of messages, one journal row each, one commit a poll round
 *   reference hash-zstd FILE     SHA-256, then zstd level 1, in one thread, over a file
 * in memory
 *
 *   reference hash FILE          SHA-256 alone, likewise
 *   reference open FILE          open a SQLite database, find one row, close it
 *
 * Each prints one number: microseconds (p50), microseconds (p50), tasks/s, bytes/s, bytes/s,
 * microseconds (p50). */
#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>
#include <zstd.h>

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median_us(uint64_t *ns, size_t count)
{
	qsort(ns, count, sizeof *ns, by_value);
	return (double)ns[count / 2] / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "reference: %s\n", what);
	exit(1);
}

static void *open_socket(void *context, int type, bool bind, const char *url)
{
	void *socket = zmq_socket(context, type);
	int zero = 0;

	zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
	zmq_setsockopt(socket, ZMQ_SNDHWM, &zero, sizeof zero);
	zmq_setsockopt(socket, ZMQ_RCVHWM, &zero, sizeof zero);
	if (bind ? zmq_bind(socket, url) : zmq_connect(socket, url))
		die(zmq_strerror(zmq_errno()));
	return socket;
}

/* The echo on the other side: what arrives on a ROUTER goes back, until "stop". */
static pid_t start_echo(const char *url)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	void *context = zmq_ctx_new();
	void *socket = open_socket(context, ZMQ_ROUTER, true, url);

	for (;;) {
		zmq_msg_t route, body;

		zmq_msg_init(&route);
		zmq_msg_init(&body);
		if (zmq_msg_recv(&route, socket, 0) < 0 ||
		    zmq_msg_recv(&body, socket, 0) < 0)
			_exit(1);
		if (zmq_msg_size(&body) == 4)
			_exit(0);
		zmq_msg_send(&route, socket, ZMQ_SNDMORE);
		zmq_msg_send(&body, socket, 0);
	}
}

static void measure_rtt(const char *dir)
{
	enum { WARM = 500, COUNT = 4000 };
	static uint64_t ns[COUNT];
	char url[512], body[200] = {0};

	snprintf(url, sizeof url, "ipc://%s/rtt.sock", dir);
	pid_t pid = start_echo(url);
	void *context = zmq_ctx_new();
	void *socket = open_socket(context, ZMQ_DEALER, false, url);

	for (int i = -WARM; i < COUNT; i++) {
		uint64_t start = clock_mono_ns();

		zmq_send(socket, body, sizeof body, 0);
		zmq_recv(socket, body, sizeof body, 0);
		if (i >= 0)
			ns[i] = clock_mono_ns() - start;
	}
	zmq_send(socket, "stop", 4, 0);
	waitpid(pid, NULL, 0);
	zmq_close(socket);
	zmq_ctx_term(context);
	printf("%.1f\n", median_us(ns, COUNT));
}

static sqlite3 *open_journal(const char *dir)
{
	char path[512];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/reference.db", dir);
	unlink(path);
	if (sqlite3_open(path, &db) ||
	    sqlite3_exec(db,
			 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			 "CREATE TABLE journal (seq INTEGER PRIMARY KEY, body BLOB)",
			 NULL, NULL, NULL))
		die(sqlite3_errmsg(db));
	return db;
}

static void append(sqlite3_stmt *insert, const void *body, int size)
{
	sqlite3_bind_blob(insert, 1, body, size, SQLITE_STATIC);
	if (sqlite3_step(insert) != SQLITE_DONE)
		die("insert failed");
	sqlite3_reset(insert);
}

static sqlite3_stmt *prepare_insert(sqlite3 *db)
{
	sqlite3_stmt *insert;

	if (sqlite3_prepare_v2(db, "INSERT INTO journal (body) VALUES (?)", -1, &insert,
			       NULL))
		die(sqlite3_errmsg(db));
	return insert;
}

static void measure_fsync(const char *dir)
{
	enum { WARM = 50, COUNT = 500 };
	static uint64_t ns[COUNT];
	sqlite3 *db = open_journal(dir);
	sqlite3_stmt *insert = prepare_insert(db);
	char body[300] = {0};

	for (int i = -WARM; i < COUNT; i++) {
		uint64_t start = clock_mono_ns();

		append(insert, body, sizeof body);
		if (i >= 0)
			ns[i] = clock_mono_ns() - start;
	}
	sqlite3_finalize(insert);
	sqlite3_close(db);
	printf("%.1f\n", median_us(ns, COUNT));
}

/* The bare loop that the broker is compared with: no protocol, no graph, no lookup. A
 * message is 256 tasks of 100 bytes; the broker keeps at most WINDOW tasks with the
 * worker. */
enum { TASK = 100, GROUP = 256, WINDOW = 20000 };

static void bare_broker(const char *dir, const char *url, uint64_t total)
{
	void *context = zmq_ctx_new();
	void *socket = open_socket(context, ZMQ_ROUTER, true, url);
	sqlite3 *db = open_journal(dir);
	sqlite3_stmt *insert = prepare_insert(db);
	zmq_msg_t *waiting = mem_alloc((total / GROUP + 1) * sizeof *waiting);
	uint64_t first = 0, last = 0, away = 0, done = 0;
	char client[64], worker[64];
	int client_size = 0, worker_size = 0;

	while (done < total) {
		uint64_t before = done;
		zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
		bool in_transaction = false;

		zmq_poll(&item, 1, -1);
		for (;;) {
			char route[64];
			int route_size =
				zmq_recv(socket, route, sizeof route, ZMQ_DONTWAIT);
			zmq_msg_t body;
			char *data;

			if (route_size < 0)
				break;
			zmq_msg_init(&body);
			zmq_msg_recv(&body, socket, 0);
			data = zmq_msg_data(&body);
			if (zmq_msg_size(&body) == 1) {
				memcpy(worker, route, sizeof route);
				worker_size = route_size;
				zmq_msg_close(&body);
				continue;
			}
			if (data[0] == 'T') {
				memcpy(client, route, sizeof route);
				client_size = route_size;
				waiting[last++] = body;
				continue;
			}
			if (!in_transaction)
				sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
			in_transaction = true;
			for (int i = 0; i < GROUP; i++)
				append(insert, data + (size_t)i * TASK, TASK);
			done += GROUP;
			away -= GROUP;
			zmq_msg_close(&body);
		}
		if (in_transaction && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
			die("commit failed");
		while (worker_size && first < last && away < WINDOW) {
			zmq_send(socket, worker, (size_t)worker_size, ZMQ_SNDMORE);
			zmq_msg_send(&waiting[first++], socket, 0);
			away += GROUP;
		}
		if (done != before)
			zmq_send(socket, client, (size_t)client_size, ZMQ_SNDMORE);
		if (done != before)
			zmq_send(socket, &done, sizeof done, 0);
	}
	sqlite3_close_v2(db);
	usleep(100000); /* let the last message out; the clock stopped at the client */
	_exit(0);
}

static void bare_worker(const char *url)
{
	void *context = zmq_ctx_new();
	void *socket = open_socket(context, ZMQ_DEALER, false, url);

	zmq_send(socket, "w", 1, 0);
	for (;;) {
		zmq_msg_t body;

		zmq_msg_init(&body);
		if (zmq_msg_recv(&body, socket, 0) < 0)
			_exit(0);
		*(char *)zmq_msg_data(&body) = 'R';
		zmq_msg_send(&body, socket, 0);
	}
}

static void measure_journal(const char *dir, uint64_t total)
{
	char url[512];
	static char body[GROUP * TASK];
	uint64_t done = 0;
	pid_t broker, worker;

	total -= total % GROUP;
	snprintf(url, sizeof url, "ipc://%s/journal.sock", dir);
	if (!(broker = fork()))
		bare_broker(dir, url, total);
	if (!(worker = fork()))
		bare_worker(url);
	void *context = zmq_ctx_new();
	void *socket = open_socket(context, ZMQ_DEALER, false, url);
	uint64_t start = clock_mono_ns();

	memset(body, 'T', sizeof body);
	for (uint64_t i = 0; i < total; i += GROUP)
		zmq_send(socket, body, sizeof body, 0);
	while (done < total)
		zmq_recv(socket, &done, sizeof done, 0);
	printf("%.0f\n", (double)total / ((double)(clock_mono_ns() - start) / 1e9));
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	waitpid(broker, NULL, 0);
	zmq_close(socket);
	zmq_ctx_term(context);
}

static void measure_hash(const char *path, bool with_zstd)
{
	enum { PIECE = 1 << 20 };
	size_t room = ZSTD_compressBound(PIECE);
	void *piece = mem_alloc(PIECE), *out = mem_alloc(room);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t digest[DIGEST_SIZE];
	uint64_t spent = 0, total = 0;
	struct sha256 sha;
	ssize_t size;

	if (fd < 0)
		die("cannot open the file");
	sha256_init(&sha);
	while ((size = read(fd, piece, PIECE)) > 0) {
		uint64_t start = clock_mono_ns();

		sha256_update(&sha, piece, (size_t)size);
		if (with_zstd && ZSTD_isError(ZSTD_compressCCtx(context, out, room, piece,
								(size_t)size, 1)))
			die("zstd failed");
		spent += clock_mono_ns() - start;
		total += (uint64_t)size;
	}
	sha256_final(&sha, digest);
	ZSTD_freeCCtx(context);
	free(piece);
	free(out);
	close(fd);
	printf("%.0f\n", (double)total / ((double)spent / 1e9));
}

static void measure_open(const char *path)
{
	enum { TIMES = 200 };
	uint64_t ns[TIMES];

	for (int i = 0; i < TIMES; i++) {
		uint64_t start = clock_mono_ns();
		sqlite3 *db;
		sqlite3_stmt *stmt = NULL;

		if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) ||
		    sqlite3_prepare_v2(db, "SELECT * FROM sqlite_master LIMIT 1", -1,
				       &stmt, NULL) ||
		    sqlite3_step(stmt) != SQLITE_ROW)
			die("cannot read the database");
		sqlite3_finalize(stmt);
		sqlite3_close(db);
		ns[i] = clock_mono_ns() - start;
	}
	printf("%.1f\n", median_us(ns, TIMES));
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "rtt"))
		measure_rtt(argv[2]);
	else if (!strcmp(what, "fsync"))
		measure_fsync(argv[2]);
	else if (!strcmp(what, "journal") && argc > 3)
		measure_journal(argv[2], strtoull(argv[3], NULL, 10));
	else if (!strcmp(what, "hash-zstd"))
		measure_hash(argv[2], true);
	else if (!strcmp(what, "hash"))
		measure_hash(argv[2], false);
	else if (!strcmp(what, "open"))
		measure_open(argv[2]);
	else
		die("usage: reference rtt DIR | fsync DIR | journal DIR N | hash-zstd "
		    "FILE | hash FILE | open FILE");
	return 0;
}
