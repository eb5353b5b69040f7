# Sourced by bench.sh: one round of a scene, and what is measured in it.
# shellcheck shell=bash disable=SC2154

# How long a picture may take to be exact after its last change before it counts as never.
settle_limit_s=5
# Time for the scene to be there, and for the product to wake up; on a slow link the first picture takes its time.
warm_up_s=${WARM_UP:-2}

# What benches/motion.rs of tagio-testkit takes, with room.
motion_s=7

now_us() {
  printf '%s' "${EPOCHREALTIME/[.,]/}"
}

# draw KIND SECONDS: starts a scene on the host's display, which logs its frames to $work/frames.KIND
draw() {
  rm -f "$work/frames.$1"
  part "scene-$1" "$deskbench" scene --display "$host_display" --kind "$1" --fps "$fps" --secs "$2" \
    --log "$work/frames.$1"
}

scene_windows() {
  xwininfo -display "$host_display" -root -children | awk -v size="$size+0+0" '$1 ~ /^0x/ && index($0, size) { print $1 }'
}

# draw_at X Y WIDTH HEIGHT KIND SECONDS: like `draw`, but its window is moved there and cut to that size.
# Its barcode moves with it.
draw_at() {
  local x=$1 y=$2 width=$3 height=$4 before window
  before=$(scene_windows)
  draw "$5" "$6"
  wait_for 5 "the window of $5" new_window "$before"
  window=$(new_window "$before")
  DISPLAY=$host_display xdotool windowsize "$window" "$width" "$height" windowmove "$window" "$x" "$y"
}

new_window() {
  scene_windows | grep -vxF -e "${1:-none}" | head -n 1 | grep .
}

# start_scene SCENE: draws it. $settles names the part of it that ends in a still picture, $barcode where the barcode
# to watch is and $watched whose it is.
start_scene() {
  drawn_s=$((warm_up_s + seconds - 1))
  [ "$1" != video ] || drawn_s=$((drawn_s + motion_s))
  barcode=0,0 watched=$1 settles=$1
  case $1 in
    beacon)
      draw beacon $((drawn_s + 30))
      settles=""
      ;;
    click+video)
      draw beacon $((drawn_s + 30))
      sleep 0.5
      # The film is left of the beacon in the middle.
      draw_at -880 0 1640 450 video "$drawn_s"
      settles=video
      ;;
    typing+scroll)
      draw scroll "$drawn_s"
      sleep 0.5
      # The page scrolls on the left half, somebody types on the right.
      draw_at 960 0 960 1080 typing "$drawn_s"
      barcode=960,0 watched=typing settles=typing
      ;;
    *) draw "$1" "$drawn_s" ;;
  esac
}

# watch SCENE: notes latency and what of the frames came.
watch_scene() {
  local json
  case $1 in
    beacon | click*)
      json=$("$deskbench" click --host "$host_display" --viewer "$viewer_display" --n $((seconds * 3)))
      note p50_ms "$(number "$json" click_to_photon_ms p50)"
      note p95_ms "$(number "$json" click_to_photon_ms p95)"
      ;;
    *)
      json=$("$deskbench" watch --viewer "$viewer_display" --secs $((seconds - 3)) --at "$barcode" \
        --log "$work/frames.$watched")
      note p50_ms "$(number "$json" latency_ms p50)"
      note p95_ms "$(number "$json" latency_ms p95)"
      note fps "$(number "$json" fps_seen)"
      note share_seen "$(number "$json" share_seen)"
      ;;
  esac
}

# frames_between KIND FROM TO: how many were drawn in that time, in µs; of a scene that has ended.
frames_between() {
  local log=$work/frames.$1
  awk -v from="$2" -v to="$3" -v ended="$(ended_us "$1")" '
    { drawn[++count] = $2 / 1000 }
    END {
      for (i = 1; i <= count; i++) {
        at = ended - (drawn[count] - drawn[i])
        if (at >= from && at < to) inside++
      }
      print inside + 0
    }' "$log"
}

# When a scene's last frame was drawn. deskbench's own clock is none of the shell's, but it writes the log then.
ended_us() {
  local at
  at=$(stat -c %.6Y "$work/frames.$1")
  printf '%s' "${at/[.,]/}"
}

# has_ended KIND: the log is written every 15 frames, and when the scene has ended.
has_ended() {
  [ "$(tail -n 1 "$work/frames.$1" | cut -d ' ' -f 1)" = $((fps * drawn_s)) ] ||
    (($(now_us) > $(ended_us "$1") + 2 * 15 * 1000000 / fps))
}

# settle KIND: after its last frame, waits until both screens are the same. The time is that at which the comparison
# ended that found it so, hence up to 50 ms too long.
settle() {
  local json exact ended
  wait_for $((seconds * 2)) "the end of $1" has_ended "$1"
  ended=$(ended_us "$1")
  while json=$("$deskbench" compare --host "$host_display" --viewer "$viewer_display"); do
    exact=$(number "$json" exact)
    if [ "$exact" = 1.0 ]; then
      note settle_ms $((($(now_us) - ended) / 1000))
      break
    elif (($(now_us) > ended + settle_limit_s * 1000000)); then
      note settle_ms 1e9
      break
    fi
  done
  note exact "$exact"
}

# measure PRODUCT SCENE: one round, noted in $results
measure() {
  local product=$1 scene=$2
  local from cpu_server cpu_viewer bytes
  row="$scene-$fps $product"
  "start_$product"
  start_scene "$scene"
  sleep $warm_up_s
  from=$(now_us) cpu_server=$(cpu "$server") cpu_viewer=$(cpu "$viewer") bytes=$(wire_bytes)
  watch_scene "$scene"
  bytes=$(($(wire_bytes) - bytes))
  is_gone "$server" && fail "the server of $product ended during $scene"
  is_gone "$viewer" && fail "the viewer of $product ended during $scene"
  note host_cpu_s "$(awk "BEGIN { print $(cpu "$server") - $cpu_server }")"
  note viewer_cpu_s "$(awk "BEGIN { print $(cpu "$viewer") - $cpu_viewer }")"
  note megabytes "$(awk "BEGIN { print $bytes / 1e6 }")"
  local to
  to=$(now_us)
  [ "$scene" != video ] || note psnr_db "$(number "$("$motion" "$host_display" "$viewer_display")" psnr_db mean)"
  [ -z "$settles" ] || settle "$settles"
  # A letter is drawn in each frame. Its log is complete only now.
  [ "$scene" != typing ] || note bytes_a_letter $((bytes / $(frames_between typing "$from" "$to")))
  end_session
}
