/* Who a writer is, in as few words as tell it from the others. */
#include "tools/who.h"

#include <string.h>

#include "tools/cli.h"
#include "tools/names.h"
#include "tools/print/number.h"

who who_of(const rk_reader *reader)
{
  who w = {0};
  size_t count;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  names labels = {0};
  out label;
  out_init(&label, -1);
  for (size_t i = 0; i < count; i++) {
    const rk_writer_info *writer = writers[i];
    w.any = true;
    w.hosts |= strcmp(writer->host, writers[0]->host) != 0;
    w.processes |= writer->pid != writers[0]->pid;
    w.programs |= strcmp(writer->program, writers[0]->program) != 0;
    label.size = 0;
    out_int(&label, writer->pid);
    out_char(&label, ' ');
    out_text(&label, writer->host);
    out_char(&label, ' ');
    out_text(&label, writer->thread);
    out_char(&label, '\0');
    if (label.error == 0)
      names_at(&labels, label.data);
  }
  w.threads = labels.count < count;
  names_free(&labels);
  out_free(&label);
  return w;
}

void out_who(out *o, const who *w, const rk_writer_info *writer)
{
  if (writer == NULL) {
    out_char(o, '-');
    return;
  }
  if (w->hosts) {
    out_printable(o, writer->host, strlen(writer->host));
    out_char(o, ':');
  }
  if (w->processes) {
    out_int(o, writer->pid);
    out_char(o, ':');
  }
  out_printable(o, writer->thread, strlen(writer->thread));
  if (w->threads && *writer->thread != '\0')
    out_char(o, '/');
  if (w->threads || *writer->thread == '\0')
    out_int(o, writer->tid);
}

const char *who_style(uint32_t tag)
{
  static const char *const styles[] = {"32", "33", "34", "35", "36", "92", "93", "94", "95"};
  return styles[(tag * UINT32_C(2654435761) >> 16) % (sizeof styles / sizeof styles[0])];
}
