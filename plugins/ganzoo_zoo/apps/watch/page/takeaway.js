// What is seen, to take away: a picture, and a movie of the frames.

import { element, fileName } from "./elements.js";
import { save } from "./files.js";
import { steps } from "./numbers.js";
import { colours } from "./theme.js";

const SIDE = 720, LINE = 30, MARGIN = 14, EVERY = 80, LAST = 1200, RATE = 30;
const KINDS = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
const NOTE = "Generated samples are synthetic.";

const kind = () => (window.MediaRecorder && HTMLCanvasElement.prototype.captureStream
  ? KINDS.find((each) => MediaRecorder.isTypeSupported(each)) : undefined);

export class TakeAway {
  // card: gives state, plane, timeline and find(what).
  constructor(card) {
    this.card = card;
    this.recording = null;
    card.find(".take-picture").addEventListener("click", () => this.picture());
    card.find(".take-movie").addEventListener("click", () => {
      if (this.recording) this.recording.cancelled = true;
      else this.movie();
    });
  }

  update() {
    const { find, timeline } = this.card;
    find(".take").hidden = !timeline.moments.length;
    find(".take-movie").hidden = !timeline.frame || timeline.frames.length < 2;
    if (!kind() && !find(".take-movie").hidden) {
      find(".take-movie").hidden = true;
      find(".take-said").textContent = "This browser cannot record a movie.";
    }
  }

  // A canvas with room for lines below what is drawn.
  canvas(width, height) {
    const canvas = element("canvas", { width, height: height + 2 * LINE + MARGIN });
    const context = canvas.getContext("2d"), shade = colours(this.card.find(".plane"), ["card", "ink", "muted"]);
    const caption = (step) => {
      context.fillStyle = shade.card;
      context.fillRect(0, height, width, canvas.height - height);
      const write = (text, line, weight, colour) => {
        context.fillStyle = colour;
        context.font = `${weight} ${Math.min(20, width / 30)}px system-ui, sans-serif`;
        context.fillText(text, MARGIN, height + line * LINE, width - 2 * MARGIN);
      };
      write(this.card.state.title, 1, 600, shade.ink);
      write(`Step ${steps(step)}. ${NOTE}`, 2, 400, shade.muted);
    };
    return { canvas, context, caption };
  }

  picture() {
    const { timeline, plane, find } = this.card, step = timeline.moments[timeline.index];
    let made;
    if (timeline.frame) {
      made = this.canvas(SIDE, SIDE);
      plane.paintOn(made.context, SIDE);
    } else {
      const image = find(".picture");
      if (!image.naturalWidth) return;
      const zoom = Math.max(1, Math.round(SIDE / image.naturalWidth));
      const [width, height] = [image.naturalWidth * zoom, image.naturalHeight * zoom];
      made = this.canvas(width, height);
      made.context.imageSmoothingEnabled = false;
      made.context.drawImage(image, 0, 0, width, height);
    }
    made.caption(step);
    made.canvas.toBlob((blob) => save(blob, fileName(this.card.state.title, `step ${step}.png`)));
  }

  // Record the frames as they are played through, in the layers that are on.
  async movie() {
    const { timeline, find, state } = this.card, plane = this.card.plane.copy();
    const recording = this.recording = { cancelled: false };
    const said = find(".take-said"), button = find(".take-movie");
    const { canvas, context, caption } = this.canvas(SIDE, SIDE);
    const stream = canvas.captureStream(RATE), parts = [];
    const recorder = new MediaRecorder(stream, { mimeType: kind(), videoBitsPerSecond: 4_000_000 });
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const ended = new Promise((done) => { recorder.addEventListener("stop", done); });
    button.textContent = "Cancel the movie";
    const frames = [...timeline.frames];
    recorder.start();
    for (let i = 0; i < frames.length && !recording.cancelled; i += 1) {
      plane.still(frames[i]);
      plane.paintOn(context, SIDE);
      caption(frames[i].step);
      if (i % 12 === 0) {
        said.textContent = `Recording: ${Math.round(100 * i / frames.length)}%. Keep this page in front.`;
      }
      await new Promise((done) => { setTimeout(done, i === frames.length - 1 ? LAST : EVERY); });
    }
    recorder.stop();
    await ended;
    for (const track of stream.getTracks()) track.stop();
    this.recording = null;
    button.textContent = "Movie";
    said.textContent = recording.cancelled ? "" : "The movie is saved.";
    if (!recording.cancelled) save(new Blob(parts, { type: "video/webm" }), fileName(state.title, "movie.webm"));
  }
}
