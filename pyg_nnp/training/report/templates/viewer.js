// Ball-and-stick views on canvases: a drag or the arrow keys turn, the wheel, two fingers or + and - zoom, 0 resets.
"use strict";
(() => {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const identity = () => [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const times = (A, B) => A.map(row => B[0].map((_, k) => row[0] * B[0][k] + row[1] * B[1][k] + row[2] * B[2][k]));
  const aboutX = a => [[1, 0, 0], [0, Math.cos(a), -Math.sin(a)], [0, Math.sin(a), Math.cos(a)]];
  const aboutY = a => [[Math.cos(a), 0, Math.sin(a)], [0, 1, 0], [-Math.sin(a), 0, Math.cos(a)]];
  const mixed = (hex, other, share) => "#" + [1, 3, 5].map(at => Math.round(
    parseInt(hex.slice(at, at + 2), 16) * (1 - share) + other * share).toString(16).padStart(2, "0")).join("");
  let byError = scene.largest !== null;

  function colour(frame, atom) {
    if (!byError) return scene.elements[frame.Z[atom]].colour;
    const shade = scene.largest > 0 ? Math.min(frame.errors[atom] / scene.largest, 1) : 0;
    return scene.scale[Math.round(shade * (scene.scale.length - 1))];
  }

  function view(canvas, frame) {
    const pen = canvas.getContext("2d");
    const all = [...frame.R, ...frame.corners];
    const reach = 1 + Math.max(...all.map(r => Math.hypot(...r)));
    const [wide, high] = [0, 1].map(axis => 1 + Math.max(...all.map(r => Math.abs(r[axis]))));
    const size = atom => 0.14 + 0.32 * scene.elements[frame.Z[atom]].radius;
    let turned = identity(), zoom = 1, placed = [];

    function draw() {
      const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      const unit = zoom * Math.min(width / wide, height / high) / 2;
      const place = r => {
        const [x, y, z] = turned.map(row => row[0] * r[0] + row[1] * r[1] + row[2] * r[2]);
        const near = unit * 4 * reach / (4 * reach - z);
        return {x: width / 2 + near * x, y: height / 2 - near * y, z, near};
      };
      placed = frame.R.map((r, atom) => {
        const ball = place(r);
        return {...ball, atom, radius: ball.near * size(atom)};
      });
      const parts = placed.map(ball => ({z: ball.z, paint: () => paintBall(ball)}));
      for (const [i, j] of frame.bonds)
        for (const [from, to] of [[i, j], [j, i]]) {
          // from the surface of the ball to the middle, so that no stick is painted over its own ball
          const a = frame.R[from], b = frame.R[to], length = Math.hypot(...a.map((x, k) => x - b[k]));
          const along = share => place(a.map((x, k) => x + share * (b[k] - x)));
          const start = along(Math.min(0.85 * size(from) / length, 0.5)), end = along(0.5);
          parts.push({z: (start.z + end.z) / 2, paint: () => paintStick(from, start, end)});
        }
      // the edges of the cell join corners whose numbers differ in one bit
      frame.corners.forEach((corner, number) => [1, 2, 4].filter(bit => !(number & bit)).forEach(bit => {
        const start = place(corner), end = place(frame.corners[number | bit]);
        parts.push({z: (start.z + end.z) / 2, paint: () => paintEdge(start, end)});
      }));
      parts.sort((p, q) => p.z - q.z).forEach(part => part.paint());
    }

    function paintBall({x, y, radius, atom}) {
      const base = colour(frame, atom), light = pen.createRadialGradient(
        x - radius / 3, y - radius / 3, radius / 10, x, y, radius);
      light.addColorStop(0, mixed(base, 255, 0.55));
      light.addColorStop(0.5, base);
      light.addColorStop(1, mixed(base, 0, 0.25));
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fillStyle = light;
      pen.fill();
      pen.lineWidth = 0.8;
      pen.strokeStyle = "#333";
      pen.stroke();
    }

    function paintStick(atom, start, end) {
      for (const [wider, style] of [[1.6, "#333"], [0, mixed(colour(frame, atom), 0, 0.08)]]) {
        pen.beginPath();
        pen.moveTo(start.x, start.y);
        pen.lineTo(end.x, end.y);
        pen.lineWidth = 0.2 * start.near + wider;
        pen.strokeStyle = style;
        pen.stroke();
      }
    }

    function paintEdge(start, end) {
      pen.beginPath();
      pen.moveTo(start.x, start.y);
      pen.lineTo(end.x, end.y);
      pen.lineWidth = 1;
      pen.strokeStyle = "#888";
      pen.stroke();
    }

    function turn(dx, dy) {
      turned = times(times(aboutX(dy), aboutY(dx)), turned);
      draw();
    }

    function zoomBy(factor) {
      zoom = Math.min(8, Math.max(0.3, zoom * factor));
      draw();
    }

    function name(event) {
      const hit = placed.filter(p => Math.hypot(p.x - event.offsetX, p.y - event.offsetY) < p.radius)
        .sort((p, q) => q.z - p.z)[0];
      canvas.title = hit ? `${scene.elements[frame.Z[hit.atom]].symbol}, atom ${hit.atom}` +
        (frame.errors ? `: force error ${frame.errors[hit.atom]} ${scene.unit}` : "") : "";
    }

    const fingers = new Map();
    canvas.addEventListener("pointerdown", event => {
      fingers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", event => {
      const before = fingers.get(event.pointerId);
      if (!before) return name(event);
      fingers.set(event.pointerId, event);
      if (fingers.size === 2) {
        const [other] = [...fingers.values()].filter(finger => finger !== event);
        const apart = finger => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        zoomBy(apart(event) / Math.max(apart(before), 1));
      }
      turn((event.clientX - before.clientX) / 90 / fingers.size, (event.clientY - before.clientY) / 90 / fingers.size);
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, event => fingers.delete(event.pointerId));
    // the page scrolls over views that were not chosen
    canvas.addEventListener("wheel", event => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY / 600));
    }, {passive: false});
    const keys = {
      ArrowLeft: () => turn(-0.15, 0), ArrowRight: () => turn(0.15, 0), ArrowUp: () => turn(0, -0.15),
      ArrowDown: () => turn(0, 0.15), "+": () => zoomBy(1.15), "=": () => zoomBy(1.15), "-": () => zoomBy(1 / 1.15),
      0: () => { turned = identity(); zoom = 1; draw(); },
    };
    canvas.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(draw).observe(canvas);
    return draw;
  }

  const draws = [...document.querySelectorAll("canvas")].map((canvas, number) => view(canvas, scene.frames[number]));
  for (const choice of document.querySelectorAll("input[name=colouring]"))
    choice.addEventListener("change", () => {
      byError = choice.value === "error";
      for (const key of document.querySelectorAll(".key")) key.hidden = key.id !== `key-${choice.value}`;
      draws.forEach(draw => draw());
    });
})();
