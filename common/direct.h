/* direct.h - large files to and from the disk beside the page cache (O_DIRECT).
 *
 * What does not stay in memory anyway gains nothing from passing through it; and on a virtual machine a
 * page that the cache takes anew may have to come from the host first, which costs more than hashing
 * and writing its bytes together (11 us a page, measured: 1 GiB takes 3 s then, and 0.6 s beside
 * the cache). It is a way to go faster and no more: where a file system cannot do it, everything
 * here goes through the cache, and the bytes are the same.
 *
 * Writing. The disk takes whole blocks of DIRECT_ALIGN bytes, a caller has pieces of any size. A file is
 * written from its beginning to its end, in pieces whose places are known in order, and which may
 * then be written in any order and by several threads, because each block is written by one of
 * them: the one with its last byte. What a piece lacks of its first block is in struct direct_tail.
 *
 *   switch   direct_switch(fd, true), before the first piece, or when all before it are written
 *   place    in order: piece.before = tail; direct_tail_add(&tail, at, parts); at += size
 *   write    in any order: direct_write(fd, &piece.before, at, parts, room)
 *   end      when all are written: direct_end(fd, &tail, at)
 *
 * Nothing is durable before fsync(). */
#pragma once

#include "common/pure/base.h"
#include <sys/uio.h>

#define DIRECT_ALIGN 4096u
/* A file may be larger than this and still be in the cache; what is read of it, or written to it,
 * beyond this is not kept there. */
#define DIRECT_KEPT (256u << 20)

/** direct_switch() - writes to @fd go around the cache from now on, or through it. For as long as others
 * do not write to it. Return: is that so? */
bool direct_switch(int fd, bool around);

struct direct_tail { /* what is behind the last boundary of a block */
	uint8_t bytes[DIRECT_ALIGN];
};

/** direct_tail_add() - @parts stand at offset @at of the file, behind all that came before. */
void direct_tail_add(struct direct_tail *tail, uint64_t at, const struct iovec *parts,
		     int count);

struct direct_room { /* through which bytes go that are not aligned; one thread at a time */
	uint8_t *data;
	size_t size;
};
/** direct_room_init() - for pieces of about @size bytes. Return: 0; -ENOMEM. */
int direct_room_init(struct direct_room *room, size_t size);
void direct_room_fini(struct direct_room *room);

/* A piece in memory of its own, which goes from hand to hand instead of being copied: from who reads it to
 * who writes it. If it stands in memory as it will stand in the file, seen from the boundaries of
 * blocks, the disk takes it from where it is. */
struct direct_piece { /* zeroed: none; direct_room_fini(&piece.room) */
	struct direct_room room;
	uint8_t *data; /* in the room, a block or more from its start */
	size_t size;
};
/** direct_piece_make() - room for @size bytes that will stand at @at of a file. Memory that is large enough
 * stays; what is in it does not. Return: 0; -ENOMEM. */
int direct_piece_make(struct direct_piece *piece, size_t size, uint64_t at);

/** direct_write() - those blocks of @parts, at @at, that end in it. @before: the tail before them.
 * Return: 0; -errno. */
int direct_write(int fd, const struct direct_tail *before, uint64_t at,
		 const struct iovec *parts, int count, struct direct_room *room);
/** direct_write_piece() - the same of the @count parts at @heads and then @piece, without copying it. What is
 * before it in its room is written over. Return: 1, and nothing was done, if it does not stand as it
 * should, or the heads have no room; else as direct_write(). */
int direct_write_piece(int fd, const struct direct_tail *before, uint64_t at,
		       const struct iovec *heads, int count,
		       const struct direct_piece *piece);
/** direct_end() - what no direct_write() wrote; the file is @size bytes long. Through the cache from now on. */
int direct_end(int fd, const struct direct_tail *tail, uint64_t size);

/* Reading: what the cache has is taken from there, and nothing is added to it. */
struct direct_reader {
	int fd;	    /* borrowed */
	int around; /* -1: all goes through the cache */
	void *map; /* never touched: it is what the kernel is asked about; NULL: all through the cache */
	size_t size;
};
/** direct_reader_init() - to read the file that @fd, which stays the caller's, reads; never fails. One of
 * at most @kept bytes is read through the cache. */
void direct_reader_init(struct direct_reader *reader, int fd, uint64_t kept);
void direct_reader_fini(struct direct_reader *reader);
/** direct_read() - to @parts, from @at. Thread: any, each with a @room of its own.
 * Return: how many bytes: fewer only at the end of the file; -errno. */
int64_t direct_read(const struct direct_reader *reader, uint64_t at,
		    const struct iovec *parts, int count, struct direct_room *room);
