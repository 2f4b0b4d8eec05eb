/* workdir.c - see workdir.h. A folder is left behind by a worker that was killed. It is taken for
 * stale when no process has the pid in its name, its lock is free, and it is not brand new (its
 * worker may not have come to the lock yet). */
#include "worker/workdir.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NEW_S 10

char *workdir_path(const struct options *options, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s", options->work_dir, name) < 0)
		abort();
	return path;
}

static void remove_if_stale(const char *root, const char *name)
{
	const char *dash = strrchr(name, '-');
	int pid = dash ? atoi(dash + 1) : 0, holder;
	if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
		return;
	CLEANUP_FREE char *dir = NULL;
	CLEANUP_FREE char *lock = NULL;
	struct stat st;
	if (asprintf(&dir, "%s/%s", root, name) < 0 ||
	    asprintf(&lock, "%s/lock", dir) < 0)
		abort();
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    time(NULL) - st.st_mtime < NEW_S)
		return;
	int fd = fs_lock(lock, &holder);
	if (fd < 0)
		return;
	log_info("left-over removed", "dir=%s", dir);
	fs_remove_tree(dir);
	close(fd);
}

struct sweep {
	struct job job;
	char *root;
};

static void sweep_run(struct job *job, struct job_thread *thread)
{
	struct sweep *s = container_of(job, struct sweep, job);
	DIR *dir = opendir(s->root);
	if (!dir)
		return;
	for (struct dirent *e; !job_is_cancelled(thread) && (e = readdir(dir));)
		if (e->d_name[0] != '.')
			remove_if_stale(s->root, e->d_name);
	closedir(dir);
}

static void sweep_done(struct job *job, void *owner)
{
	struct sweep *s = container_of(job, struct sweep, job);
	free(s->root);
	free(s);
}

void workdir_clean_siblings(const struct options *options, struct jobs *jobs)
{
	if (options->work_dir_given)
		return;
	struct sweep *s = mem_alloc(sizeof *s);
	s->root = mem_strdup(options->work_dir);
	*strrchr(s->root, '/') = '\0';
	s->job.run = sweep_run;
	s->job.done = sweep_done;
	s->job.lane = LANE_UPLOAD;
	jobs_submit(jobs, &s->job);
}

/* Folders in /var/tmp have predictable names: it must be ours and nobody else's. */
static int check_owner(const char *path, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return err_set(e, ERR_FAILED, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(e, ERR_NOT_ALLOWED, "%s belongs to someone else", path);
	if (st.st_mode & 077 && chmod(path, 0700) < 0)
		return err_set(e, ERR_FAILED, "%s: %s", path, strerror(errno));
	return 0;
}

static int make(const struct options *options, struct err *e)
{
	int rc = fs_mkdir_p(options->work_dir, 0700);
	if (rc < 0)
		return err_set(e, ERR_FAILED, "cannot make the work directory %s: %s",
			       options->work_dir, strerror(-rc));
	if (options->work_dir_given)
		return 0;
	CLEANUP_FREE char *root = mem_strdup(options->work_dir);
	*strrchr(root, '/') = '\0';
	return check_owner(root, e) || check_owner(options->work_dir, e);
}

static const char *const ours[] = {"attempts", "cache", "sources", "libraries"};

int workdir_open(const struct options *options, struct err *e)
{
	if (make(options, e))
		return -1;
	CLEANUP_FREE char *path = workdir_path(options, "lock");
	int pid = 0;
	int fd = fs_lock(path, &pid);
	if (fd == -EWOULDBLOCK) {
		err_set(e, ERR_FAILED,
			"another worker (pid %d) uses the work directory %s", pid,
			options->work_dir);
		err_next(e, "give each worker its own: --work-dir DIR");
		return -1;
	}
	if (fd < 0) {
		err_set(e, ERR_FAILED, "%s: %s", path, strerror(-fd));
		return -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		CLEANUP_FREE char *sub = workdir_path(options, ours[i]);
		int rc = fs_remove_tree(sub);
		if (rc == 0)
			rc = fs_mkdir_p(sub, 0700);
		if (rc < 0) {
			err_set(e, ERR_FAILED, "%s: %s", sub, strerror(-rc));
			close(fd);
			return -1;
		}
	}
	return fd;
}

void workdir_remove(const struct options *options)
{
	if (!options->work_dir_given) {
		fs_remove_tree(options->work_dir);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		CLEANUP_FREE char *sub = workdir_path(options, ours[i]);
		fs_remove_tree(sub);
	}
}
