// Imported ahead of the function, so that the loader of ES modules, and what it needs for CommonJS modules, is there when it is needed.
import './errors.js';
