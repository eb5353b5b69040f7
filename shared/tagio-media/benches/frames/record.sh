#!/usr/bin/env bash
# Records the frames in this folder anew: real programs on a display of their own, before and after a small change.
#
# Needs what scripts/setup.sh installs, and firefox-esr and optipng.
# shellcheck disable=SC2154 # processes.sh sets what seems to be unset
set -euo pipefail
frames=$(cd "$(dirname "$0")" && pwd)
cd "$frames/../../../.."
# shellcheck source=scripts/processes.sh disable=SC1091,SC2154
source scripts/processes.sh
need convert import mousepad xterm firefox-esr optipng

# take NAME: a picture of the whole display, exact and small
take() {
  # Until everything is drawn, and the text cursor is in the same phase or does not blink.
  sleep "${2:-1}"
  DISPLAY=$display import -window root -depth 8 "png24:$work/$1.png"
  rm -f "$frames/$1.png"
  optipng -quiet -o2 -strip all -out "$frames/$1.png" "$work/$1.png"
}

keys() {
  DISPLAY=$display xdotool key --delay 40 "$@"
}

# place TITLE X Y WIDTH HEIGHT: waits for it and puts it there; its id in $window
place() {
  wait_for 60 "a window called $1" find_window "$display" "$1"
  window=$(find_window "$display" "$1")
  DISPLAY=$display xdotool windowsize "$window" "$4" "$5" windowmove "$window" "$2" "$3" windowfocus "$window"
}

# Subpixel rendering as with ClearType, and no blinking text cursor, for GTK and for everything that asks fontconfig.
settings() {
  mkdir -p "$work/fontconfig" "$work/gtk-3.0" "$work/home"
  cat >"$work/fontconfig/fonts.conf" <<'END'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <match target="pattern">
    <edit name="rgba" mode="assign"><const>rgb</const></edit>
    <edit name="antialias" mode="assign"><bool>true</bool></edit>
    <edit name="hinting" mode="assign"><bool>true</bool></edit>
    <edit name="hintstyle" mode="assign"><const>hintslight</const></edit>
    <edit name="lcdfilter" mode="assign"><const>lcddefault</const></edit>
  </match>
</fontconfig>
END
  cat >"$work/gtk-3.0/settings.ini" <<'END'
[Settings]
gtk-xft-antialias=1
gtk-xft-hinting=1
gtk-xft-hintstyle=hintslight
gtk-xft-rgba=rgb
gtk-cursor-blink=0
gtk-font-name=DejaVu Sans 10
END
  export XDG_CONFIG_HOME=$work HOME=$work/home GDK_BACKEND=x11 NO_AT_BRIDGE=1 GSETTINGS_BACKEND=memory
}

# photo SEED WIDTHxHEIGHT FILE: nobody's photograph: a sky of soft light, hills with edges, and grain.
photo() {
  convert \( -size "$2" -seed "$1" plasma:'#9fc4e8-#f0d8b0' -blur 0x12 -modulate 115,60 \) \
    \( -size "$2" -seed $(($1 + 1)) plasma:'#40603a-#a08850' -modulate 70,80 \) \
    \( -size "$2" xc:black -fill white -draw "path 'M 0,999 L 0,210 Q 90,110 210,180 T 420,150 T 620,190 L 620,999 Z'" \
    -blur 0x0.6 \) -composite -seed "$1" -attenuate 0.08 +noise Gaussian -quality 90 "$3"
}

wallpaper() {
  convert -size 480x270 -seed 5 plasma:navy-coral -blur 0x4 -resize 1920x1080 \
    -dither FloydSteinberg -colors 12 "$work/wallpaper.png"
  DISPLAY=$display start wallpaper display -window root "$work/wallpaper.png"
  sleep 2
}

page() {
  local seed
  for seed in 11 23 37; do photo "$seed" 520x320 "$work/photo-$seed.jpg"; done
  {
    echo '<!doctype html><meta charset="utf-8"><title>Bench page</title><style>'
    echo 'body{font:16px/1.5 "DejaVu Sans";margin:0;background:#fff;color:#222}header{background:#234;color:#fff;padding:20px 60px}'
    echo 'main{padding:20px 60px;columns:3;column-gap:40px}img{width:100%;border-radius:8px}h2{color:#246}a{color:#06c}</style>'
    echo '<header><h1>The picture: exact text, moving video</h1></header><main>'
    for seed in 11 23 37 11 23 37; do
      echo "<h2>About frame $seed</h2><img src=photo-$seed.jpg><p>"
      sed -n 's/^\([A-Z][^|`]*\)$/\1/p' docs/ARCHITECTURE.md | head -n 40
      echo '<p><a href="#">Read on</a>'
    done
    echo '</main>'
  } >"$work/page.html"
}

# A letter typed in an editor, and a scroll by some lines.
record_editor() {
  start editor mousepad --disable-server shared/tagio-media/src/region.rs
  place region.rs 0 0 1920 1080
  keys ctrl+Home Down Down Down End
  take editor-before
  keys e
  take editor-letter
  keys BackSpace
  DISPLAY=$display xdotool mousemove 900 600 click 5
  take editor-scroll
  stop "$last"
}

# Colours in a terminal: a prompt, then a list that scrolls it.
record_terminal() {
  start terminal xterm -fa 'DejaVu Sans Mono' -fs 11 -bg '#101418' -fg '#d0d4d8' -geometry 200x56+0+0 +bc -T terminal \
    -e "git -c color.ui=always log --stat -n 12 | head -n 70 | cut -c 1-190; exec bash --norc --noprofile"
  place terminal 0 0 1920 1080
  take terminal-before 2
  DISPLAY=$display xdotool type --delay 30 'ls -l --color=always shared docs scripts tagio-gui/src | head -n 20'
  keys Return
  take terminal-scroll
  stop "$last"
}

# A page with pictures, and a scroll by the wheel.
record_browser() {
  page
  mkdir -p "$work/profile"
  cat >"$work/profile/user.js" <<'END'
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("general.smoothScroll", false);
END
  start browser firefox-esr --profile "$work/profile" --kiosk "file://$work/page.html"
  wait_for 90 "the browser" find_window "$display" "Bench page"
  DISPLAY=$display xdotool mousemove 900 700
  take browser-before 6
  DISPLAY=$display xdotool click 5
  take browser-scroll 2
  stop "$last"
}

# A window that moves over a dithered wallpaper.
record_desktop() {
  wallpaper
  start window mousepad --disable-server docs/GLOSSARY.md
  place GLOSSARY 400 200 900 600
  take desktop-before 2
  DISPLAY=$display xdotool windowmove "$window" 441 237
  take desktop-move
  stop "$last"
}

settings
new_display frames 1920x1080
export DISPLAY=$display LIBGL_ALWAYS_SOFTWARE=1
record_editor
record_terminal
record_browser
record_desktop
ls -l "$frames"
