# Sourced by bench.sh: from lines `SCENE PRODUCT FIGURE VALUE` to tables in Markdown, each figure the median of the rounds.
# shellcheck shell=bash

# print_tables RESULTS: all figures, then TagIO's as a share of the others'.
print_tables() {
  sort -k1,3 -k4,4g "$1" | awk '
    function close_group() {
      if (count) median[row, figure] = (values[int((count + 1) / 2)] + values[int(count / 2) + 1]) / 2
      count = 0
    }
    function cell(scene, product, figure,    value) {
      if (!((scene, product, figure) in median)) return ""
      value = median[scene, product, figure]
      if (figure == "settle_ms" && value >= 1e6) return "never"
      return sprintf(figure ~ /_ms$|_db$/ ? "%.1f" : figure ~ /letter$/ ? "%d" : "%.2f", value)
    }
    function share(scene, product, figure,    own, other) {
      if (!((scene, "tagio", figure) in median) || !((scene, product, figure) in median)) return ""
      own = median[scene, "tagio", figure]; other = median[scene, product, figure]
      return other > 0 ? sprintf("%.3g", own / other) : ""
    }
    function heading(text, names, count,    i, line, rule) {
      line = text; rule = "|---|---|"
      for (i = 1; i <= count; i++) { line = line " " names[i] " |"; rule = rule "---|" }
      print line; print rule
    }
    {
      if ($1 SUBSEP $2 != row || $3 != figure) close_group()
      row = $1 SUBSEP $2; figure = $3; values[++count] = $4
      if (!($1 in seen)) { seen[$1] = 1; scenes[++scene_count] = $1 }
    }
    END {
      close_group()
      products = split("tagio x0vncserver xvnc", product, " ")
      figures = split("fps share_seen p50_ms p95_ms host_cpu_s viewer_cpu_s megabytes bytes_a_letter psnr_db settle_ms exact", name, " ")
      heading("| scene | product |", name, figures)
      for (s = 1; s <= scene_count; s++) for (p = 1; p <= products; p++) {
        if (!((scenes[s], product[p], "p50_ms") in median)) continue
        line = "| " scenes[s] " | " product[p] " |"
        for (i = 1; i <= figures; i++) line = line " " cell(scenes[s], product[p], name[i]) " |"
        print line
      }
      print ""
      ratios = split("p50_ms p95_ms host_cpu_s viewer_cpu_s megabytes bytes_a_letter", name, " ")
      heading("| scene | tagio as a share of |", name, ratios)
      for (s = 1; s <= scene_count; s++) for (p = 2; p <= products; p++) {
        if (!((scenes[s], product[p], "p50_ms") in median)) continue
        line = "| " scenes[s] " | " product[p] " |"
        for (i = 1; i <= ratios; i++) line = line " " share(scenes[s], product[p], name[i]) " |"
        print line
      }
    }'
}
