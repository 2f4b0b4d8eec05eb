/* workdir.h - the folder where a worker keeps the directories of its tasks and its cache. One worker
 * per folder: it holds a lock while it lives. */
#pragma once

#include "worker/jobs.h"
#include "worker/options.h"

/** workdir_open() - make it, lock it, empty it of what an earlier worker left. Call it behind the
 * fork of the spawner.
 * Return: the lock's descriptor; negative with the reason in @e. */
int workdir_open(const struct options *options, struct err *e);
/** workdir_clean_siblings() - in a thread: of a folder at its default place, remove the siblings whose
 * workers are dead. */
void workdir_clean_siblings(const struct options *options, struct jobs *jobs);
/** workdir_path() - heap. */
char *workdir_path(const struct options *options, const char *name);
/** workdir_remove() - at the end: everything that is ours. */
void workdir_remove(const struct options *options);
