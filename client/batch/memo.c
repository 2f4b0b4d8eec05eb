/* memo.c - see memo.h.
 *
 *	cashet memo 1 SHA256-OF-THE-REST
 *	DIGEST SIZE MTIME CTIME INODE DEVICE PATH
 *
 * Times in nanoseconds. What is used moves to the end; beyond ENTRIES_MAX the beginning goes. */
#include "client/batch/memo.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "cashet memo 1 "
#define HEAD_SIZE (sizeof HEAD - 1 + HEX_DIGEST_SIZE) /* with its line break */
#define ENTRIES_MAX 200000u
#define FILE_MAX (256u << 20)
#define RACY_NS (2 * NS_PER_S)

struct memo_stamp {
	uint64_t size, mtime, ctime, inode, device;
};

struct memo_entry {
	const char *path;
	struct memo_stamp stamp;
	uint8_t digest[DIGEST_SIZE];
	bool used; /* by this run */
};

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
}

static struct memo_stamp stamp_of(const struct stat *st)
{
	return (struct memo_stamp){(uint64_t)st->st_size, ns_of(&st->st_mtim),
				   ns_of(&st->st_ctim), st->st_ino, st->st_dev};
}

void memo_fini(struct memo *m)
{
	arena_fini(&m->arena);
	map_fini(&m->map);
	free(m->entries);
	*m = (struct memo){0};
}

static struct memo_entry *entry_of(struct memo *m, const char *path)
{
	uint32_t *number = map_find(&m->map, path, strlen(path));
	if (number)
		return &m->entries[*number];
	if (m->count == m->capacity) {
		uint32_t capacity = m->capacity ? 2 * m->capacity : 64;
		struct memo_entry *entries =
			realloc(m->entries, capacity * sizeof *entries);
		if (!entries)
			return NULL;
		m->entries = entries;
		m->capacity = capacity;
	}
	char *copy = arena_text(&m->arena, path, strlen(path));
	if (!copy || map_put(&m->map, copy, strlen(copy), m->count))
		return NULL;
	m->entries[m->count] = (struct memo_entry){.path = copy};
	return &m->entries[m->count++];
}

/* load_line() - Return: false if it is not one of ours. */
static bool load_line(struct memo *m, char *line)
{
	struct memo_stamp s;
	uint8_t digest[DIGEST_SIZE];
	int at = 0;
	if (strlen(line) < HEX_DIGEST_SIZE || line[HEX_DIGEST_SIZE - 1] != ' ')
		return false;
	line[HEX_DIGEST_SIZE - 1] = '\0';
	if (hex_decode(digest, DIGEST_SIZE, line))
		return false;
	line += HEX_DIGEST_SIZE;
	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %n",
		   &s.size, &s.mtime, &s.ctime, &s.inode, &s.device, &at) != 5 ||
	    line[at] != '/')
		return false;
	struct memo_entry *entry = entry_of(m, line + at);
	if (!entry)
		return false;
	entry->stamp = s;
	memcpy(entry->digest, digest, DIGEST_SIZE);
	return true;
}

static void load(struct memo *m)
{
	CLEANUP_BUF struct buf file = {0};
	m->loaded = true;
	if (!m->path || fs_read_file(m->path, FILE_MAX, &file) || file.size < HEAD_SIZE)
		return;
	uint8_t said[DIGEST_SIZE], found[DIGEST_SIZE];
	char *text = (char *)(uintptr_t)buf_cstr(&file);
	if (file.failed || memcmp(text, HEAD, sizeof HEAD - 1) ||
	    text[HEAD_SIZE - 1] != '\n')
		return;
	text[HEAD_SIZE - 1] = '\0';
	sha256_digest(text + HEAD_SIZE, file.size - HEAD_SIZE, found);
	if (hex_decode(said, DIGEST_SIZE, text + sizeof HEAD - 1) ||
	    memcmp(said, found, DIGEST_SIZE))
		return;
	char *line = text + HEAD_SIZE, *end;
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (!load_line(m, line))
			break;
		line = end + 1;
	}
}

bool memo_find(struct memo *m, const char *path, const struct stat *st,
	       uint8_t digest[DIGEST_SIZE])
{
	if (!m->path)
		return false;
	if (!m->loaded)
		load(m);
	uint32_t *number = map_find(&m->map, path, strlen(path));
	if (!number)
		return false;
	struct memo_entry *entry = &m->entries[*number];
	struct memo_stamp stamp = stamp_of(st);
	if (memcmp(&entry->stamp, &stamp, sizeof stamp))
		return false;
	entry->used = true;
	memcpy(digest, entry->digest, DIGEST_SIZE);
	return true;
}

void memo_put(struct memo *m, const char *path, const struct stat *st,
	      const uint8_t digest[DIGEST_SIZE])
{
	struct memo_stamp stamp = stamp_of(st);
	uint64_t now = clock_wall_ms() * NS_PER_MS;
	uint64_t touched = stamp.mtime > stamp.ctime ? stamp.mtime : stamp.ctime;
	if (!m->path || strchr(path, '\n') || touched + RACY_NS > now)
		return;
	if (!m->loaded)
		load(m);
	struct memo_entry *entry = entry_of(m, path);
	if (!entry)
		return;
	entry->stamp = stamp;
	entry->used = true;
	memcpy(entry->digest, digest, DIGEST_SIZE);
	m->changed = true;
}

static void save_entry(struct buf *out, const struct memo_entry *entry)
{
	char hex[HEX_DIGEST_SIZE];
	const struct memo_stamp *s = &entry->stamp;
	buf_printf(out,
		   "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
		   hex_encode(hex, entry->digest, DIGEST_SIZE), s->size, s->mtime,
		   s->ctime, s->inode, s->device, entry->path);
}

void memo_save(struct memo *m)
{
	if (!m->changed)
		return;
	m->changed = false;
	CLEANUP_BUF struct buf out = {0};
	char hex[HEX_DIGEST_SIZE];
	uint8_t digest[DIGEST_SIZE] = {0};
	buf_printf(&out, HEAD "%s\n", hex_encode(hex, digest, DIGEST_SIZE));
	uint32_t skip = m->count > ENTRIES_MAX ? m->count - ENTRIES_MAX : 0;
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->entries[i].used)
			continue;
		if (skip)
			skip--;
		else
			save_entry(&out, &m->entries[i]);
	}
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].used)
			save_entry(&out, &m->entries[i]);
	if (out.failed)
		return;
	sha256_digest(out.data + HEAD_SIZE, out.size - HEAD_SIZE, digest);
	hex_encode(hex, digest, DIGEST_SIZE);
	memcpy(out.data + sizeof HEAD - 1, hex, HEX_DIGEST_SIZE - 1);
	/* A memo that cannot be written costs time the next time, and nothing else. */
	(void)fs_write_atomic(m->path, out.data, out.size, 0600);
}
