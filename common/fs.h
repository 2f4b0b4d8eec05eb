/* fs.h - files as cashet uses them: whole and durable, or not at all.
 * All functions return 0 or a negative errno unless said otherwise. Descriptors are O_CLOEXEC. */
#pragma once

#include "common/pure/buf.h"
#include <sys/stat.h>

int fs_mkdir_p(const char *path, mode_t mode);
/** fs_read_file() - append the whole file to @out; -EFBIG when larger than @max bytes. */
int fs_read_file(const char *path, size_t max, struct buf *out);
/** fs_write_atomic() - temp file in the same folder, write, fsync, rename, fsync the folder.
 * Durable on return; on error the old file is untouched and no temp file stays. */
int fs_write_atomic(const char *path, const void *data, size_t size, mode_t mode);
int fs_write_all(int fd, const void *data, size_t size);
/** fs_read_full() - read until @size or end of file. Return: bytes read or negative errno. */
int64_t fs_read_full(int fd, void *out, size_t size);
int fs_sync_dir(const char *path);
/** fs_remove_tree() - remove @path and everything below, never following links, making folders
 * writable as needed. Missing is fine. */
int fs_remove_tree(const char *path);
/** fs_is_network() - 1 if @path is on NFS, SMB, Lustre, ...; 0 if local; negative errno. */
int fs_is_network(const char *path);
/** fs_lock() - open (create 0600) and lock a file exclusively with an open-file-description
 * lock; the pid of the holder is its content. Return: fd >= 0 held for the process's life;
 * -EWOULDBLOCK if held, *pidp is then the holder's pid (0 if unknown). */
int fs_lock(const char *path, int *pidp);
/** fs_path_is_inside() - true if @path is relative, not empty, and has no "", "." or ".." part. */
bool fs_path_is_inside(const char *path);
/** fs_output_find() - where to write what becomes the file @path: either *realp is the path of the file
 * that a new one takes the place of (or that is not there yet), with symbolic links resolved; free() it.
 * Or *realp is NULL and *fdp is open, to be written and closed: a device, a pipe, or standard output by
 * one of its names. -EISDIR; -ENOENT of a symbolic link that leads to nothing. A name that is not there
 * yet is not looked at any further: whoever makes the file is told. */
int fs_output_find(const char *path, char **realp, int *fdp);
/** fs_output_mode() - with which mode to open the new file that takes the place of @real: @fresh if there
 * is none, else one for its owner only, until fs_output_like(). */
mode_t fs_output_mode(const char *real, mode_t fresh);
/** fs_output_like() - give the new file @fd the permissions of @real, and its owner and group if we may;
 * never more than @real has for anybody but the owner. Does nothing if there is no @real. */
void fs_output_like(int fd, const char *real);
/** fs_standard_open() - of a program that was started with standard input, output or error closed: see
 * to it that no file or socket that it opens takes that place, and gets what is meant for people. First
 * thing in main(). */
void fs_standard_open(void);
/** fs_free_bytes() - bytes available to us on the file system of @path. */
int fs_free_bytes(const char *path, uint64_t *bytes);
