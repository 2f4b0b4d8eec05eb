/* restore.h - sockets whose file was removed under them. */
#pragma once

/** restore_listener() - a path where @socket listens may be removed under it (by a cleaner of /tmp,
 * by rm), and nobody who comes then finds it. Listens there anew; who is connected notices nothing.
 * @url: as endpoint_bound() said. Thread: the owner of @socket.
 * Return: 0 nothing was missing, or @url has no path; 1 done; negative errno. */
int restore_listener(void *socket, const char *url);
